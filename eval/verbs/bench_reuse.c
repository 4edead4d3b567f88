/* bench_reuse.c - what keeping chunks is worth: one image, asked cold, repaired and held. */
#include "eval/verbs/bench.h"

#include <string.h>

enum variant { COLD, REPAIRED, CACHED_PREFIX, N_VARIANTS };

struct result { /* until the first token, the image included */
    double total, decode_image, vision, prefill, chunks, assemble, score, repair;
    int prompt_tokens, recomputed;
};

static const char *const variant_names[] = {
    [COLD] = "cold", [REPAIRED] = "repaired", [CACHED_PREFIX] = "cached_prefix"};

/* fresh: the session forgets, the engine does not. */
static int ask(struct bench *b, int question, enum vlqa_reuse reuse, int repair, int fresh,
               struct result *out)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    double begin;
    vlqa_status status;
    int code = CLI_OK, filler;
    bench_input(b, 0, question);
    begin = env_ms();
    if (fresh) {
        status = vlqa_session_clear(b->session);
        if (status != VLQA_OK) return bench_failed(b, status);
        code = bench_add_image(b);
        if (code != CLI_OK) return code;
    }
    filler = b->args.prompt_tokens > b->image.tokens ? b->args.prompt_tokens - b->image.tokens : 1;
    b->question[filler] = 0;
    o.max_tokens = 1;
    o.ignore_eos = 1;
    o.reuse = reuse;
    o.recompute_ratio = repair ? (float)b->args.ratio : 0;
    o.chunker = VLQA_CHUNK_GRID;
    status = vlqa_ask(b->session, b->question, &o, &a, sizeof a);
    if (status != VLQA_OK) return bench_failed(b, status);
    *out = (struct result){.total = env_ms() - begin,
                           .decode_image = fresh ? a.ms_decode_image : 0,
                           .vision = fresh ? a.ms_vision : 0,
                           .prefill = a.ms_prefill,
                           .chunks = a.ms_chunks,
                           .assemble = a.ms_assemble,
                           .score = a.ms_score,
                           .repair = a.ms_repair,
                           .prompt_tokens = a.tokens_total,
                           .recomputed = a.tokens_recomputed};
    return code;
}

static int print_json(struct bench *b, const struct result *r)
{
    struct report out = report_begin();
    report_string(&out, "cpu", b->info.cpu);
    report_int(&out, "threads", b->info.threads);
    report_int(&out, "visual_tokens", b->image.tokens);
    for (int w = 0; w < N_VARIANTS; w++) {
        report_open(&out, variant_names[w]);
        report_int(&out, "prompt_tokens", r[w].prompt_tokens);
        report_int(&out, "recomputed", r[w].recomputed);
        report_real(&out, "ms", r[w].total);
        report_real(&out, "vision", r[w].vision);
        report_real(&out, "prefill", r[w].prefill);
        report_real(&out, "chunks", r[w].chunks);
        report_real(&out, "assemble", r[w].assemble);
        report_real(&out, "score", r[w].score);
        report_real(&out, "repair", r[w].repair);
        report_close(&out);
    }
    return cli_write_report(&b->cli, &out);
}

static int print_text(struct bench *b, const struct result *r)
{
    printf("%d visual tokens, %s, %d threads; milliseconds to the first token\n\n", b->image.tokens,
           b->info.cpu, b->info.threads);
    printf("%-13s %9s %8s %9s %9s %9s %9s %9s %7s\n", "", "all", "computed", "vision", "chunks",
           "place", "score", "run", "of cold");
    for (int w = 0; w < N_VARIANTS; w++)
        printf("%-13s %9.1f %8d %9.1f %9.1f %9.1f %9.1f %9.1f %7s%.1f\n", variant_names[w],
               r[w].total, r[w].recomputed, r[w].vision, r[w].chunks, r[w].assemble, r[w].score,
               w == REPAIRED ? r[w].repair : r[w].prefill, "1/", r[COLD].total / r[w].total);
    return cli_flush();
}

int bench_reuse(struct bench *b)
{
    struct result r[N_VARIANTS], unused;
    int code = ask(b, 0, VLQA_REUSE_OFF, 0, 1, &r[COLD]);
    if (code == CLI_OK)
        code = ask(b, 1, VLQA_REUSE_OFF, 0, 0, &r[CACHED_PREFIX]);      /* another question */
    if (code == CLI_OK) code = ask(b, 2, VLQA_REUSE_ON, 0, 1, &unused); /* makes the chunks */
    if (code == CLI_OK) code = ask(b, 3, VLQA_REUSE_ON, 1, 1, &r[REPAIRED]);
    progress_clear(&b->cli.bar);
    if (code != CLI_OK) return code;
    return b->args.common.json ? print_json(b, r) : print_text(b, r);
}
