/* cmd_ask.c - the verb ask: images, texts and a question in, an answer out. */
#include "base/file.h"
#include "base/heap.h"
#include "eval/options/calibration.h"
#include "eval/options/quality.h"
#include "eval/report/explain.h"
#include "eval/verbs/ask.h"
#include "eval/verbs/verbs.h"

#include <string.h>
#include <strings.h>

static int ends_with_png(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && strcasecmp(dot, ".png") == 0;
}

static int reads_input(const struct ask_args *o)
{
    const struct arg_items *items = &o->document.items;
    for (int i = 0; i < items->n; i++)
        if (strcmp(items->item[i].value, "-") == 0) return 1;
    return o->question && strcmp(o->question, "-") == 0;
}

static int check_args(struct ask *a)
{
    const struct ask_args *o = &a->args;
    const struct arg_items *items = &o->document.items;
    int images = 0;
    if (o->jsonl) return ask_jsonl_check(a);
    if (args_launched().n > 1 && reads_input(o))
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "standard input is that of one of the processes that were started "
                        "together: give files");
    if (!o->question) return cli_fail(&a->cli, VLQA_EUSAGE, "no question: give --question TEXT");
    if (!o->question[strspn(o->question, " \t\r\n")])
        return cli_fail(&a->cli, VLQA_EUSAGE, "the question is empty");
    if (o->common.json && o->stream)
        return cli_fail(&a->cli, VLQA_EUSAGE, "--json and --stream exclude each other");
    for (int i = 0; i < items->n; i++)
        images += strcmp(items->item[i].name, "image") == 0;
    if (o->explain && !ends_with_png(o->explain))
        return cli_fail(&a->cli, VLQA_EUSAGE,
                        "--explain writes a PNG file, expected a name that ends with .png");
    if (o->explain && (images < 1 || images > EXPLAIN_MAX_IMAGES))
        return cli_fail(&a->cli, VLQA_EUSAGE, "--explain draws on 1 to 64 images");
    return CLI_OK;
}

static void note_unused(struct ask *a)
{
    static const char *const reuse[] = {"recompute-ratio", "halo", NULL};
    static const char *const cache[] = {"cache-dir", "cache-strict", NULL};
    const struct ask_args *o = &a->args;
    sampling_note_unused(&a->cli, &o->sampling, o->reuse.variant == REUSE_RANDOM);
    if (o->reuse.variant == REUSE_OFF) cli_note_unused(&a->cli, reuse, "with --reuse off");
    if (o->cache.off) cli_note_unused(&a->cli, cache, "with --no-cache");
}

static int apply_calibrations(struct ask *a)
{
    struct reuse_args *reuse = &a->args.reuse;
    vlqa_status status = calibration_apply(&a->cli.env, &a->args.cache, a->engine, &reuse->layers);
    if (status == VLQA_OK) status = quality_apply(&a->cli, &a->args.cache, a->engine, reuse);
    return status == VLQA_OK ? CLI_OK : cli_fail(&a->cli, status, a->cli.env.message);
}

static int open_all(struct ask *a)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    char path[CACHE_PATH];
    double start = env_ms();
    int code;
    document_options(&a->args.document, &options);
    cache_options(&a->args.cache, path, &options);
    code = cli_open_engine(&a->cli, &options, &a->engine);
    if (code == CLI_OK)
        code = cli_open_session(&a->cli, a->engine, a->args.max_seq_len,
                                reuse_is_experimental(&a->args.reuse), &a->session);
    if (code == CLI_OK) code = document_stand_in(&a->cli, &a->args.document, a->session);
    a->load_ms = env_ms() - start;
    return code == CLI_OK ? apply_calibrations(a) : code;
}

/* ---- the answer ---- */

/* A vlqa_token_fn. */
static int on_token(void *user, const char *utf8, size_t bytes)
{
    struct ask *a = user;
    progress_clear(&a->cli.bar);
    if (a->args.stream) stream_answer(&a->out, utf8, bytes);
    return cli_interrupted() || a->out.code != CLI_OK;
}

/* A vlqa_token_fn. */
static int on_thinking(void *user, const char *utf8, size_t bytes)
{
    struct ask *a = user;
    progress_clear(&a->cli.bar);
    if (a->args.stream && a->args.sampling.show_thinking) stream_thoughts(&a->out, utf8, bytes);
    return cli_interrupted() || a->out.code != CLI_OK;
}

/* Rows of the context that are as a full prefill gives them, unrepaired. */
static int count_exact(const struct vlqa_answer *answer)
{
    int n = 0;
    if (!answer->token_selected) return answer->tokens_context;
    for (int i = 0; i < answer->n_chunks; i++)
        n += vlqa_chunk_at(answer, i).tokens_exact;
    return n;
}

static void report_tokens(struct report *r, const struct vlqa_answer *answer)
{
    report_open(r, "prompt_tokens");
    report_int(r, "total", answer->tokens_total);
    report_int(r, "prefix", answer->tokens_prefix);
    report_int(r, "context", answer->tokens_context);
    report_int(r, "question", answer->tokens_question);
    report_int(r, "selected", answer->tokens_selected);
    report_int(r, "recomputed", answer->tokens_recomputed);
    report_int(r, "exact", count_exact(answer));
    report_close(r);
}

static void report_times(struct report *r, const struct ask *a, const struct vlqa_answer *answer)
{
    report_open(r, "ms");
    report_real(r, "load", a->load_ms);
    report_real(r, "decode_image", answer->ms_decode_image);
    report_real(r, "vision", answer->ms_vision);
    report_real(r, "prefill", answer->ms_prefill);
    report_real(r, "chunks", answer->ms_chunks);
    report_real(r, "assemble", answer->ms_assemble);
    report_real(r, "score", answer->ms_score);
    report_real(r, "repair", answer->ms_repair);
    report_real(r, "first_token", answer->ms_first_token);
    report_real(r, "decode", answer->ms_decode);
    report_real(r, "total", env_ms() - a->cli.start_ms);
    report_close(r);
}

static void report_evidence(struct report *r, const struct vlqa_answer *answer)
{
    report_open_list(r, "evidence");
    for (int i = 0; i < answer->n_evidence; i++) {
        const struct vlqa_evidence e = vlqa_evidence_at(answer, i);
        const int box[4] = {e.x, e.y, e.width, e.height};
        report_open(r, NULL);
        report_int(r, "image", e.image);
        report_ints(r, "box", box, 4);
        report_real(r, "score", (double)e.score);
        report_close(r);
    }
    report_close(r);
}

/* Why an image has no evidence. */
static const char *why_none(const struct ask *a, const struct vlqa_answer *answer)
{
    if (!a->options.evidence_max) return "--no-evidence";
    if (!answer->n_evidence) return "the variant recomputes by order or chance, not by attention";
    return "none of its tokens is among those that the question attended to most";
}

static int count_evidence(const struct vlqa_answer *answer, int image)
{
    int n = 0;
    for (int i = 0; i < answer->n_evidence; i++)
        n += vlqa_evidence_at(answer, i).image == image;
    return n;
}

static void report_images(struct report *r, const struct ask *a, const struct vlqa_answer *answer)
{
    report_open_list(r, "images");
    for (int i = 0; i < answer->n_images; i++) {
        const struct vlqa_placed_image im = vlqa_image_at(answer, i);
        const int size[2] = {im.width, im.height};
        const int resized[2] = {im.resized_width, im.resized_height};
        report_open(r, NULL);
        report_ints(r, "size", size, 2);
        report_ints(r, "resized", resized, 2);
        report_int(r, "tokens", (int64_t)im.grid_h * im.grid_w);
        if (!count_evidence(answer, i)) report_string(r, "no_evidence", why_none(a, answer));
        report_close(r);
    }
    report_close(r);
}

static void note_images(struct ask *a, const struct vlqa_answer *answer)
{
    if (a->args.common.quiet) return;
    document_note_sizes(&a->document, answer);
    for (int i = 0; a->args.explain && i < answer->n_images; i++)
        if (!count_evidence(answer, i))
            cli_note(&a->cli, "image %d has no evidence: %s", i + 1, why_none(a, answer));
}

void ask_report(struct report *r, const struct ask *a, const struct vlqa_answer *answer)
{
    struct vlqa_model_info info;
    vlqa_status status = vlqa_engine_info(a->engine, &info, sizeof info);
    if (status != VLQA_OK) memset(&info, 0, sizeof info);
    report_text(r, "answer", answer->text, answer->text_bytes);
    if (answer->thinking_bytes || answer->thinking_is_open) {
        report_text(r, "thinking", answer->thinking, answer->thinking_bytes);
        report_int(r, "thinking_is_open", answer->thinking_is_open);
    }
    report_int(r, "tokens", answer->n_tokens);
    report_string(r, "stop", sampling_stop_name(answer->stop));
    report_string(r, "variant", reuse_variant(&a->args.reuse));
    report_int(r, "exact", answer->exact);
    quality_report(r, &a->args.reuse, answer);
    report_tokens(r, answer);
    report_counts(r, "chunks", answer->chunks_ram, answer->chunks_disk, answer->chunks_computed);
    report_counts(r, "visual", answer->visual_ram, answer->visual_disk, answer->visual_computed);
    report_times(r, a, answer);
    report_images(r, a, answer);
    report_evidence(r, answer);
    report_int(r, "peak_bytes", (int64_t)answer->peak_bytes);
    report_open(r, "model");
    report_string(r, "name", info.name);
    report_string(r, "digest", info.digest);
    report_close(r);
    report_string(r, "version", vlqa_version());
}

static int write_json(struct ask *a, const struct vlqa_answer *answer)
{
    struct report r = report_begin();
    ask_report(&r, a, answer);
    return cli_write_report(&a->cli, &r);
}

static int write_answer(struct ask *a, const struct vlqa_answer *answer)
{
    if (a->args.common.json) return write_json(a, answer);
    if (!a->args.stream) stream_whole(&a->out, answer, a->args.sampling.show_thinking);
    return stream_end(&a->out);
}

static void put_float_le(uint8_t *to, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(bits >> (8 * i));
}

static int write_logits(struct ask *a, const struct vlqa_answer *answer)
{
    size_t bytes = (size_t)answer->n_logits * 4;
    uint8_t *data = heap_alloc(bytes);
    struct file_part part = {data, bytes};
    vlqa_status status;
    if (!data)
        return cli_fail(&a->cli, env_no_memory(&a->cli.env, "logits", bytes), a->cli.env.message);
    for (int i = 0; i < answer->n_logits; i++)
        put_float_le(data + (size_t)i * 4, answer->logits[i]);
    status = file_write_atomic(&a->cli.env, a->args.logits, &part, 1);
    heap_free(data);
    if (status == VLQA_OK) return CLI_OK;
    return cli_fail(&a->cli, status, a->cli.env.message);
}

static int write_picture(struct ask *a, const struct vlqa_answer *answer)
{
    struct vlqa_pixels pixels[EXPLAIN_MAX_IMAGES] = {{0}};
    int code = CLI_OK;
    for (int i = 0; i < answer->n_images && code == CLI_OK; i++)
        code = document_pixels(&a->document, a->session, i, &pixels[i]);
    if (code == CLI_OK) code = explain_picture(&a->cli, answer, pixels, a->args.explain);
    for (int i = 0; i < answer->n_images; i++)
        vlqa_free_pixels(&pixels[i]);
    return code;
}

static int finish(struct ask *a, const struct vlqa_answer *answer)
{
    int code = write_answer(a, answer);
    int writes = a->cli.rank == 0; /* others would write the same file */
    if (code == CLI_OK && a->args.explain_cache) explain_cache(&a->cli, answer);
    if (code == CLI_OK && a->args.explain_cache) quality_explain(&a->cli, &a->args.reuse, answer);
    if (code == CLI_OK && a->args.logits && writes) code = write_logits(a, answer);
    if (code == CLI_OK && a->args.explain && writes) code = write_picture(a, answer);
    if (code != CLI_OK) return code;
    note_images(a, answer);
    if (answer->stop == VLQA_STOP_CALLER) return cli_fail(&a->cli, VLQA_ECANCELLED, NULL);
    sampling_note_stop(&a->cli, answer);
    return cache_check(&a->cli, &a->args.cache, a->engine);
}

static int answer_question(struct ask *a)
{
    struct vlqa_answer answer;
    vlqa_status status =
        vlqa_ask(a->session, a->args.question, &a->options, &answer, sizeof answer);
    progress_clear(&a->cli.bar);
    if (status == VLQA_OK) return finish(a, &answer);
    if (a->out.last) (void)stream_end(&a->out); /* deltas were streamed */
    return cli_fail(&a->cli, status, vlqa_message(a->session));
}

static void set_options(struct ask *a)
{
    reuse_options(&a->args.reuse, &a->options, &a->more);
    if (a->args.no_evidence) a->options.evidence_max = 0;
    a->options.on_token = on_token;
    a->options.on_thinking = on_thinking;
    a->options.user = a;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct ask a;
    int code;
    memset(&a, 0, sizeof a);
    a.options = vlqa_ask_options_default();
    code = cli_begin(&a.cli, verb, argc, argv, &a.args.common);
    if (code != CLI_GO_ON) return code;
    a.document =
        (struct document){.cli = &a.cli, .args = &a.args.document, .question = &a.args.question};
    code = check_args(&a);
    if (code == CLI_OK) code = quality_check(&a.cli, &a.args.reuse, &a.args.sampling);
    if (code == CLI_OK) code = sampling_options(&a.cli, &a.args.sampling, &a.lists, &a.options);
    if (code == CLI_OK) note_unused(&a);
    if (code == CLI_OK) code = document_read(&a.document);
    cli_catch_interrupt(); /* not before: while standard input is awaited, Ctrl-C ends at once */
    if (code == CLI_OK) code = open_all(&a);
    set_options(&a);
    if (code == CLI_OK && a.args.jsonl) code = ask_jsonl(&a);
    if (code == CLI_OK && !a.args.jsonl) code = document_add(&a.document, a.session);
    if (code == CLI_OK && !a.args.jsonl) code = answer_question(&a);
    vlqa_session_close(a.session);
    cli_close_engine(&a.cli, a.engine);
    document_free(&a.document);
    return code;
}

#define FIELD(member) .offset = offsetof(struct ask_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Prompt (images and texts are placed in the order they are given)"},
    DOCUMENT_ITEM_ARGS(struct ask_args, document),
    {ARG_TEXT, .name = "question", .also = "prompt", .letter = 'p', .value = "TEXT",
     FIELD(question), .help = "the question; - reads it from standard input"},
    {ARG_TEXT, .name = "jsonl", .value = "FILE", FIELD(jsonl),
     .help = "ask what each line of a file says, - for standard input; answers are lines of JSON"},
    SAMPLING_ARGS(struct ask_args, sampling),
    REUSE_ARGS(struct ask_args, reuse),
    REUSE_KEEP_ARGS(struct ask_args, reuse),
    {ARG_HEADING, .name = "Model"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, FIELD(max_seq_len),
     .help = "longest sequence of prompt and answer [what the model allows, at most 32768]"},
    DOCUMENT_IMAGE_ARGS(struct ask_args, document),
    CACHE_ARGS(struct ask_args, cache),
    CLI_COMPUTE_ARGS,
    CLI_RANKS_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_FLAG, .name = "stream", FIELD(stream), .help = "print the answer while it is generated"},
    {ARG_TEXT, .name = "logits", .value = "FILE", FIELD(logits),
     .help = "write the logits of the first answer token: float32, little-endian"},
    {ARG_TEXT, .name = "explain", .value = "FILE", FIELD(explain),
     .help = "write a PNG file with evidence drawn on the images; token scores, recomputed tokens "
             "and chunks are drawn, too"},
    {ARG_FLAG, .name = "no-evidence", FIELD(no_evidence),
     .help = "do not look for the parts of images that the question attended to"},
    {ARG_FLAG, .name = "explain-cache", FIELD(explain_cache),
     .help = "say what was a hit and what was computed; image by image, chunk by chunk"},
    CLI_OUTPUT_ARGS,
};

const struct verb verb_ask = {
    .name = "ask",
    .summary = "ask a question about images and texts",
    .synopsis = "Usage: vlqa [ask] [-m DIR] [--image FILE | --text FILE]... -p TEXT [OPTION]...\n"
                "       vlqa [ask] [-m DIR] --jsonl FILE [OPTION]...\n",
    .notes = "The answer goes to standard output, everything else to standard error.\n"
             "\n"
             "--json prints one line: answer, tokens, stop (eos, length, session_full, text,\n"
             "interrupted), variant, exact (0 or 1), with --quality quality {asked, why,\n"
             "promised, answers, failures, ratio, margin, in_doubt, flops}, prompt_tokens\n"
             "{total, prefix, context,\n"
             "question, selected, recomputed, exact}, chunks and visual {ram, disk, computed},\n"
             "ms {load, decode_image, vision, prefill, chunks, assemble, score, repair,\n"
             "first_token, decode, total}, images [{size [width, height], resized, tokens,\n"
             "no_evidence (why)}], evidence [{image, box [x, y, width, height],\n"
             "score}], peak_bytes, model {name, digest}, version. first_token counts from the\n"
             "question, total from the start. Boxes are in pixels of the upright image, and\n"
             "the score of evidence is the highest token score inside of its box.\n"
             "Where the model thought before its answer, thinking has that text, and\n"
             "thinking_is_open is 1 if it did not get to an answer.\n"
             "\n"
             "--jsonl: a line is an object with question, image or images (paths relative to\n"
             "the file, or base64), texts, and if wanted id, max_tokens and stop. For each\n"
             "line there is one of --json, in order, with its id and line. A line that cannot\n"
             "be asked gets an error instead of an answer, and the exit code is 3 at the end.\n"
             "Documents that are those of the line before are not added again.\n"
             "\n"
             "An image that was seen before skips the vision tower, which changes no answer.\n"
             "Chunks of the first document are exact, too. Chunks of later documents are\n"
             "approximate and are recomputed in part; exact in --json says which case holds.\n"
             "--reuse off uses no chunks.\n"
             "\n"
             "Example:\n"
             "  vlqa --image chart.png -p \"Which year was best?\"\n",
    .brief = "image text question system model max-tokens temp stream json explain "
             "explain-cache reuse no-cache threads quiet help help-all",
    .example = "vlqa --image chart.png -p \"Which year was best?\"",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
