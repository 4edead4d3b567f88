/* bench_ranks.c - what several ranks are worth: a text, asked by one process and by all of them. */
#include "eval/run/origin.h"
#include "eval/verbs/bench.h"
#include "include/vlqa_ranks.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_KINDS = 8 };

enum way { SINGLE, EXACT, CHUNKS, N_WAYS };

struct traffic {
    int n;
    struct vlqa_ranks_traffic kind[MOST_KINDS];
};

struct result {                                         /* of rank 0 */
    double first_token[MAX_REPEAT], decode[MAX_REPEAT]; /* ms; decode of a token behind the first */
    int prompt_tokens, recomputed;
    struct traffic traffic; /* of one run */
};

static const char *const way_names[] = {
    [SINGLE] = "single", [EXACT] = "exact", [CHUNKS] = "chunks"};

/* All so far, less what is in `before`. */
static struct traffic traffic_since(const struct vlqa_ranks *ranks, const struct traffic *before)
{
    struct traffic t = {0};
    while (t.n < MOST_KINDS &&
           vlqa_ranks_read_traffic(ranks, t.n, &t.kind[t.n], sizeof t.kind[t.n]) == VLQA_OK)
        t.n++;
    for (int i = 0; i < before->n; i++) {
        t.kind[i].given -= before->kind[i].given;
        t.kind[i].taken -= before->kind[i].taken;
        t.kind[i].ms -= before->kind[i].ms;
    }
    return t;
}

/* A text of other letters in each run, in as many chunks as there are ranks. */
static vlqa_status ask(struct bench *b, struct vlqa_session *s, int run, enum way way,
                       struct vlqa_answer *a)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    int ranks = b->args.common.ranks;
    vlqa_status status = vlqa_session_clear(s);
    bench_input(b, 0, run);
    if (status == VLQA_OK) status = vlqa_add_text(s, b->question, (size_t)b->args.prompt_tokens);
    if (status != VLQA_OK) return status;
    o.max_tokens = b->args.decode;
    o.ignore_eos = 1;
    o.reuse = way == CHUNKS ? VLQA_REUSE_ON : VLQA_REUSE_OFF;
    o.recompute_ratio = (float)b->args.ratio;
    o.chunk_text_tokens = (b->args.prompt_tokens + ranks - 1) / ranks;
    o.halo = 0;
    return vlqa_ask(s, "What does it say?", &o, a, sizeof *a);
}

static int measure(struct bench *b, struct vlqa_session *s, enum way way, struct result *out)
{
    for (int run = 0; run < b->args.repeat; run++) {
        struct traffic none = {0}, before = traffic_since(b->cli.ranks, &none);
        struct vlqa_answer a;
        vlqa_status status = ask(b, s, run * N_WAYS + (int)way, way, &a);
        if (status != VLQA_OK) return cli_fail(&b->cli, status, vlqa_message(s));
        out->first_token[run] = a.ms_first_token;
        out->decode[run] = a.n_tokens > 1 ? a.ms_decode / (a.n_tokens - 1) : 0;
        out->prompt_tokens = a.tokens_total;
        out->recomputed = a.tokens_recomputed;
        out->traffic = traffic_since(b->cli.ranks, &before);
    }
    return CLI_OK;
}

/* Rank 0 by itself, with weights of its own, at the end: no other one waits for it, or does work.
 */
static int measure_single(struct bench *b, struct result *out)
{
    struct vlqa_engine_options options = b->engine_options;
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *session = NULL;
    vlqa_status status;
    int code;
    if (b->cli.rank != 0) return CLI_OK;
    options.ranks = NULL;
    status = vlqa_engine_open(&options, &engine);
    if (status != VLQA_OK) {
        code = cli_fail(&b->cli, status,
                        engine ? vlqa_engine_message(engine) : vlqa_status_name(status));
    } else {
        code = cli_open_session(&b->cli, engine, b->args.max_seq_len, 0, &session);
        if (code == CLI_OK) code = measure(b, session, SINGLE, out);
    }
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    return code;
}

/* ---- results ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *sample, int n)
{
    qsort(sample, (size_t)n, sizeof *sample, ascending);
    return (sample[(n - 1) / 2] + sample[n / 2]) / 2;
}

static int print_json(struct bench *b, struct result *r)
{
    struct report out = report_begin();
    report_string(&out, "shape", bench_shapes[b->args.shape]);
    report_string(&out, "dtype", b->info.dtype);
    report_string(&out, "cpu", b->info.cpu);
    report_int(&out, "threads", b->info.threads);
    report_int(&out, "ranks", b->args.common.ranks);
    report_int(&out, "repeat", b->args.repeat);
    report_int(&out, "prompt_tokens", r[EXACT].prompt_tokens);
    for (int w = 0; w < N_WAYS; w++) {
        report_open(&out, way_names[w]);
        report_real(&out, "first_token_ms", median(r[w].first_token, b->args.repeat));
        report_real(&out, "token_ms", median(r[w].decode, b->args.repeat));
        report_int(&out, "recomputed", r[w].recomputed);
        report_open(&out, "traffic");
        for (int i = 0; w != SINGLE && i < r[w].traffic.n; i++) {
            const struct vlqa_ranks_traffic *t = &r[w].traffic.kind[i];
            report_open(&out, t->name);
            report_int(&out, "given", (int64_t)t->given);
            report_int(&out, "taken", (int64_t)t->taken);
            report_real(&out, "ms", t->ms);
            report_close(&out);
        }
        report_close(&out);
        report_close(&out);
    }
    report_string(&out, "version", vlqa_version());
    origin_report(&out, b->cli.verb->name, b->cli.argc, b->cli.argv);
    return cli_write_report(&b->cli, &out);
}

static int print_text(struct bench *b, struct result *r)
{
    const struct traffic *first = &r[EXACT].traffic;
    char machine[ORIGIN_MACHINE];
    origin_machine(machine);
    printf("%-10s %s, %.2f M parameters\n", "shape", bench_shapes[b->args.shape],
           (double)b->info.parameters / 1e6);
    printf("%-10s %s\n", "machine", machine);
    printf("%-10s %d, with %d threads each (%s, %s)\n", "ranks", b->args.common.ranks,
           b->info.threads, b->info.cpu, b->info.dtype);
    printf("%-10s %d tokens\n\n%-8s %14s %14s %12s\n", "prompt", r[EXACT].prompt_tokens, "",
           "first token ms", "each other ms", "recomputed");
    for (int w = 0; w < N_WAYS; w++)
        printf("%-8s %14.1f %14.2f %12d\n", way_names[w], median(r[w].first_token, b->args.repeat),
               median(r[w].decode, b->args.repeat), r[w].recomputed);
    printf("\n%-8s %27s %27s\n", "taken", way_names[EXACT], way_names[CHUNKS]);
    for (int i = 0; i < first->n; i++) {
        printf("%-8s", first->kind[i].name);
        for (int w = EXACT; w < N_WAYS; w++)
            printf(" %12.3f MB %8.1f ms", (double)r[w].traffic.kind[i].taken / 1e6,
                   r[w].traffic.kind[i].ms);
        putchar('\n');
    }
    return cli_flush();
}

int bench_ranks(struct bench *b)
{
    static struct result r[N_WAYS];
    int code = measure(b, b->session, EXACT, &r[EXACT]);
    if (code == CLI_OK) code = measure(b, b->session, CHUNKS, &r[CHUNKS]);
    if (code == CLI_OK) code = measure_single(b, &r[SINGLE]);
    progress_clear(&b->cli.bar);
    if (code != CLI_OK) return code;
    return b->args.common.json ? print_json(b, r) : print_text(b, r);
}
