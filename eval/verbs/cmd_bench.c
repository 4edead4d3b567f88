/* cmd_bench.c - the verb bench: how fast a shape runs here, with random weights. */
#include "base/heap.h"
#include "eval/run/origin.h"
#include "eval/verbs/bench.h"
#include "eval/verbs/verbs.h"
#include "include/vlqa_experimental.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const measure_names[] = {
    [M_DECODE_IMAGE] = "decode_image",
    [M_VISION] = "vision",
    [M_PREFILL] = "prefill",
    [M_FIRST_TOKEN] = "first_token",
    [M_DECODE] = "decode",
    [M_TOTAL] = "total",
    [M_PATCH_RATE] = "patches",
    [M_PROMPT_RATE] = "prompt_tokens",
    [M_TOKEN_RATE] = "tokens",
};

const char *const bench_shapes[] = {"2b", "4b", "8b", "default", NULL};

int bench_failed(struct bench *b, vlqa_status status)
{
    return cli_fail(&b->cli, status, vlqa_message(b->session));
}

/* ---- input ---- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void bench_input(struct bench *b, int image, int question)
{
    uint64_t state = b->args.seed + (uint64_t)image;
    size_t pixels = (size_t)b->args.image.width * (size_t)b->args.image.height;
    for (size_t i = 0; i < pixels * 3; i++)
        b->rgb[i] = (uint8_t)next_random(&state);
    state = ~b->args.seed - (uint64_t)question;
    for (int i = 0; i < b->args.prompt_tokens; i++)
        b->question[i] = (char)('a' + next_random(&state) % 26);
    b->question[b->args.prompt_tokens] = 0;
}

static int allocate(struct bench *b)
{
    size_t pixels = (size_t)b->args.image.width * (size_t)b->args.image.height;
    b->rgb = heap_alloc(pixels * 3);
    b->question = heap_alloc((size_t)b->args.prompt_tokens + 1);
    if (b->rgb && b->question) return CLI_OK;
    return cli_fail(&b->cli, env_no_memory(&b->cli.env, "input", pixels * 3), b->cli.env.message);
}

/* ---- runs ---- */

int bench_add_image(struct bench *b)
{
    struct arg_size size = b->args.image;
    vlqa_status status;
    if (!size.width) return CLI_OK;
    status =
        vlqa_add_image_rgb(b->session, b->rgb, size.width, size.height, (size_t)size.width * 3);
    if (status == VLQA_OK) status = vlqa_last_image(b->session, &b->image, sizeof b->image);
    return status == VLQA_OK ? CLI_OK : bench_failed(b, status);
}

static double rate(double count, double ms)
{
    return count > 0 && ms > 0 ? count / ms * 1e3 : (double)NAN;
}

static void take_sample(struct bench *b, int run, const struct vlqa_answer *a)
{
    const struct vlqa_image_info *image = &b->image;
    double seen = image->tokens ? a->ms_decode_image + a->ms_vision : 0; /* before the question */
    double value[N_MEASURES] = {
        [M_DECODE_IMAGE] = image->tokens ? a->ms_decode_image : (double)NAN,
        [M_VISION] = image->tokens ? a->ms_vision : (double)NAN,
        [M_PREFILL] = a->ms_prefill,
        [M_FIRST_TOKEN] = seen + a->ms_first_token,
        [M_DECODE] = a->ms_decode,
        [M_TOTAL] = seen + a->ms_total,
        [M_PATCH_RATE] = rate((double)image->grid_h * image->grid_w, a->ms_vision),
        [M_PROMPT_RATE] = rate(a->tokens_total, a->ms_prefill),
        [M_TOKEN_RATE] = rate(a->n_tokens - 1, a->ms_decode), /* prefill makes the first one */
    };
    for (int i = 0; i < N_MEASURES; i++)
        b->sample[i][run] = value[i];
    b->prompt_tokens = a->tokens_total;
    b->tokens = a->n_tokens;
    b->peak_bytes = (int64_t)a->peak_bytes;
}

static int stop_if_interrupted(void *user, const char *utf8, size_t bytes)
{
    (void)user, (void)utf8, (void)bytes;
    return cli_interrupted();
}

static int run_once(struct bench *b, int run)
{
    struct vlqa_ask_options options = vlqa_ask_options_default();
    struct vlqa_experimental more = vlqa_experimental_default();
    struct vlqa_answer answer;
    vlqa_status status = vlqa_session_clear(b->session);
    int code, filler;
    if (status != VLQA_OK) return bench_failed(b, status);
    bench_input(b, run, run);
    code = bench_add_image(b);
    if (code != CLI_OK) return code;
    /* With random weights each byte of a text is a token; the template adds a few. */
    filler = b->args.prompt_tokens > b->image.tokens ? b->args.prompt_tokens - b->image.tokens : 1;
    b->question[filler] = 0;
    options.max_tokens = b->args.decode;
    options.ignore_eos = 1;
    options.on_token = stop_if_interrupted;
    more.single_launches = b->args.single_launches;
    if (more.single_launches) options.experimental = &more;
    status = vlqa_ask(b->session, b->question, &options, &answer, sizeof answer);
    if (status != VLQA_OK) return bench_failed(b, status);
    if (answer.stop == VLQA_STOP_CALLER) return bench_failed(b, VLQA_ECANCELLED);
    take_sample(b, run, &answer);
    return CLI_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void take_medians(struct bench *b)
{
    int n = b->args.repeat;
    for (int i = 0; i < N_MEASURES; i++) {
        double *s = b->sample[i];
        qsort(s, (size_t)n, sizeof *s, ascending);
        b->median[i] = (s[(n - 1) / 2] + s[n / 2]) / 2;
    }
}

static int open_all(struct bench *b)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    double start = env_ms();
    vlqa_status status;
    int code;
    options.random_shape = bench_shapes[b->args.shape];
    options.random_seed = b->args.seed;
    options.no_cache = !b->args.reuse && b->args.common.ranks < 2;
    code = cli_open_engine(&b->cli, &options, &b->engine);
    b->engine_options = options;
    if (code != CLI_OK) return code;
    status = vlqa_engine_info(b->engine, &b->info, sizeof b->info);
    if (status != VLQA_OK) return cli_fail(&b->cli, status, vlqa_engine_message(b->engine));
    code = cli_open_session(&b->cli, b->engine, b->args.max_seq_len, b->args.single_launches,
                            &b->session);
    b->open_ms = env_ms() - start;
    return code;
}

/* ---- results ---- */

static void report_measures(struct report *r, const struct bench *b)
{
    report_open(r, "ms");
    report_real(r, "open", b->open_ms);
    for (int i = 0; i <= M_TOTAL; i++)
        report_real(r, measure_names[i], b->median[i]);
    report_close(r);
    report_open(r, "per_second");
    for (int i = M_PATCH_RATE; i < N_MEASURES; i++)
        report_real(r, measure_names[i], b->median[i]);
    report_close(r);
}

static int print_json(struct bench *b)
{
    struct report r = report_begin();
    report_string(&r, "shape", bench_shapes[b->args.shape]);
    report_string(&r, "dtype", b->info.dtype);
    report_string(&r, "weights", b->info.weights);
    report_string(&r, "cpu", b->info.cpu);
    report_int(&r, "threads", b->info.threads);
    report_int(&r, "parameters", b->info.parameters);
    report_int(&r, "weight_bytes", b->info.weight_bytes);
    report_int(&r, "repeat", b->args.repeat);
    report_open(&r, "image");
    report_int(&r, "width", b->image.width);
    report_int(&r, "height", b->image.height);
    report_int(&r, "resized_width", b->image.resized_width);
    report_int(&r, "resized_height", b->image.resized_height);
    report_int(&r, "patches", (int64_t)b->image.grid_h * b->image.grid_w);
    report_int(&r, "tokens", b->image.tokens);
    report_close(&r);
    report_int(&r, "prompt_tokens", b->prompt_tokens);
    report_int(&r, "tokens", b->tokens);
    report_measures(&r, b);
    report_int(&r, "peak_bytes", b->peak_bytes);
    report_string(&r, "version", vlqa_version());
    origin_report(&r, b->cli.verb->name, b->cli.argc, b->cli.argv);
    return cli_write_report(&b->cli, &r);
}

static void print_rate(const char *label, int count, double ms, double per_second, const char *unit)
{
    printf("%-10s %7d %-8s %10.1f ms", label, count, unit, ms);
    if (isfinite(per_second)) printf(" %10.1f %s/s", per_second, unit);
    putchar('\n');
}

static int print_text(const struct bench *b)
{
    const struct vlqa_image_info *i = &b->image;
    const double *m = b->median;
    char memory[32], machine[ORIGIN_MACHINE];
    report_bytes(b->peak_bytes, memory);
    origin_machine(machine);
    printf("%-10s %s, %.2f M parameters\n", "shape", bench_shapes[b->args.shape],
           (double)b->info.parameters / 1e6);
    printf("%-10s %s\n", "machine", machine);
    printf("%-10s %s, %s, %d threads\n", "processor", b->info.cpu, b->info.dtype, b->info.threads);
    if (i->tokens) {
        printf("%-10s %d x %d, resized to %d x %d: %d tokens\n", "image", i->width, i->height,
               i->resized_width, i->resized_height, i->tokens);
        print_rate("encode", i->grid_h * i->grid_w, m[M_VISION], m[M_PATCH_RATE], "patches");
    }
    print_rate("prefill", b->prompt_tokens, m[M_PREFILL], m[M_PROMPT_RATE], "tokens");
    print_rate("decode", b->tokens, m[M_DECODE], m[M_TOKEN_RATE], "tokens");
    printf("%-10s %.1f ms to the first token, %.1f ms in all%s\n", "answer", m[M_FIRST_TOKEN],
           m[M_TOTAL], i->tokens ? ", with the image" : "");
    printf("%-10s %s at most\n", "memory", memory);
    if (b->args.repeat > 1) printf("%-10s median of %d runs\n", "times", b->args.repeat);
    return cli_flush();
}

static int bench(struct bench *b)
{
    static const char *const of_ops[] = {"filter", "ops-rows", "onednn", NULL};
    static const char *const of_reuse[] = {"recompute-ratio", NULL};
    int code;
    if (b->args.ops) return bench_ops(b);
    cli_note_unused(&b->cli, of_ops, "without --ops");
    if (!b->args.reuse && b->args.common.ranks < 2)
        cli_note_unused(&b->cli, of_reuse, "without --reuse or --ranks");
    if (!b->args.image.width != !b->args.image.height)
        return cli_fail(&b->cli, VLQA_EUSAGE, "--image has one side of 0, expected both or none");
    code = allocate(b);
    if (code == CLI_OK) code = open_all(b);
    if (code == CLI_OK && b->args.reuse) return bench_reuse(b);
    if (code == CLI_OK && b->cli.ranks) return bench_ranks(b);
    for (int run = 0; run < b->args.repeat && code == CLI_OK; run++)
        code = run_once(b, run);
    progress_clear(&b->cli.bar);
    if (code != CLI_OK) return code;
    take_medians(b);
    return b->args.common.json ? print_json(b) : print_text(b);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct bench b = {0};
    int code = cli_begin(&b.cli, verb, argc, argv, &b.args.common);
    if (code != CLI_GO_ON) return code;
    cli_catch_interrupt();
    code = bench(&b);
    vlqa_session_close(b.session);
    cli_close_engine(&b.cli, b.engine);
    heap_free(b.rgb);
    heap_free(b.question);
    return code;
}

#define FIELD(member) .offset = offsetof(struct bench_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Work"},
    {ARG_CHOICE, .name = "shape", .value = "SHAPE", .fallback = "default", .choice = bench_shapes,
     FIELD(shape), .help = "shape of the model"},
    {ARG_SIZE, .name = "image", .value = "WIDTHxHEIGHT", .min = 0, .max = 16384,
     .fallback = "1024x1024", FIELD(image), .help = "noise image; 0x0 is none"},
    {ARG_INT, .name = "prompt-tokens", .old = "rows", .value = "N", .min = 1, .max = 1 << 20,
     .fallback = "2048", FIELD(prompt_tokens),
     .help = "at least this many tokens in the prompt: text fills what the image leaves, the chat "
             "template comes on top, and an image alone may have more"},
    {ARG_INT, .name = "decode", .value = "N", .min = 1, .max = 1000000, .fallback = "32",
     FIELD(decode), .help = "length of the answer in tokens"},
    {ARG_INT, .name = "repeat", .value = "N", .min = 1, .max = MAX_REPEAT, .fallback = "1",
     FIELD(repeat), .help = "number of runs; their medians are printed"},
    {ARG_FLAG, .name = "single-launches", FIELD(single_launches),
     .help = "on a GPU: launch kernels of decoding one by one, not as a graph, to compare times"},
    {ARG_FLAG, .name = "reuse", FIELD(reuse),
     .help =
         "compare a cold question with one over repaired chunks and one behind a cached prefix"},
    {ARG_REAL, .name = "recompute-ratio", .value = "R", .min = 0, .max = 1, .fallback = "0.15",
     FIELD(ratio), .help = "with --reuse and --ranks: share of the tokens that are recomputed"},
    {ARG_FLAG, .name = "ops", FIELD(ops),
     .help = "time every operation by itself, in the sizes of the shape"},
    {ARG_TEXT, .name = "filter", .value = "TEXT", FIELD(filter),
     .help = "with --ops: those with this in their name, such as matmul or \"matmul text.q\""},
    {ARG_FORM, .name = "ops-rows", .value = "N,N...", .read = bench_read_rows,
     .form = "whole numbers from 1 to 65536, at most 16, separated by commas", FIELD(rows),
     .help = "with --ops: numbers of rows [1 to 1024, and 4096 patches]"},
    {ARG_TEXT, .name = "onednn", .value = "FILE|off", .words = "off", FIELD(onednn),
     .help = "with --ops: library of oneDNN to compare products with [libdnnl.so.3, if found]"},
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(seed),
     .help = "seed of weights and input"},
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, FIELD(max_seq_len),
     .help = "longest sequence of prompt and answer [what the shape allows, at most 32768]"},
    CLI_COMPUTE_ARGS,
    CLI_RANKS_ARGS,
    {ARG_HEADING, .name = "Output"},
    CLI_OUTPUT_ARGS,
};

const struct verb verb_bench = {
    .name = "bench",
    .summary = "measure the speed of a shape with random weights",
    .synopsis = "Usage: vlqa bench [--shape SHAPE] [OPTION]...\n",
    .notes = "No model is needed: speed depends on the shape of the weights, not on their\n"
             "values.\n"
             "\n"
             "--json prints one line: shape, dtype, cpu, threads, parameters, weight_bytes,\n"
             "repeat, image {width, height, resized_width, resized_height, patches, tokens},\n"
             "prompt_tokens, tokens, ms {open, decode_image, vision, prefill, first_token,\n"
             "decode, total}, per_second {patches, prompt_tokens, tokens}, peak_bytes,\n"
             "version, command, commit (of a checkout), build, machine. What was not measured\n"
             "is null. first_token and total count from the image on, with decode_image and\n"
             "vision. The rate of tokens leaves out the first one, which prefill computes.\n",
    .after = "\n"
             "--ranks above 1 asks about a text instead: all ranks by a full prefill (exact),\n"
             "all ranks with a chunk for each, of which --recompute-ratio of the tokens are\n"
             "computed again (chunks), and rank 0 by itself, with the threads of one rank\n"
             "(single). It prints what rank 0 took from the others, and its time in that.\n"
             "--json prints shape, dtype, cpu, threads, ranks, repeat, prompt_tokens, single,\n"
             "exact and chunks {first_token_ms, token_ms, recomputed, traffic {control, kv,\n"
             "chunks, hidden, scores, vision {given, taken, ms}}}, version, command, commit,\n"
             "build, machine.\n"
             "\n"
             "--ops times single operations: their fastest sample, what part it is of the\n"
             "floating point operations and of the bytes read that the same threads reached\n"
             "just before, and beside products those of oneDNN, in turn, in f32 and where\n"
             "it can in bf16. Weights take turns, four times what the largest cache holds,\n"
             "as the layers of a model do. --repeat is the number of samples [7]. --json\n"
             "prints shape, dtype, weights, cpu, threads, peak {gflops, gflops_f32, gbytes},\n"
             "rotation_bytes, onednn, ops [{op, part, shape, rows, ms, flops, bytes, gflops,\n"
             "gbytes, of_peak, of_bandwidth, onednn_f32_ms, onednn_f32_ratio, onednn_bf16_ms,\n"
             "onednn_bf16_ratio}], version, command, commit, build, machine. The ratio is\n"
             "oneDNN's time over ours.\n"
             "\n"
             "Examples:\n"
             "  vlqa bench --shape 2b --image 1024x768 --prompt-tokens 1500 --decode 64\n"
             "  vlqa bench --shape 2b --ops --filter matmul --ops-rows 1,16,1024\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
