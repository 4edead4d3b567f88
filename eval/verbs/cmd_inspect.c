/* cmd_inspect.c - the verb inspect: what a model is and what it needs. */
#include "eval/cli/cli.h"
#include "eval/verbs/verbs.h"

#include <stdarg.h>
#include <string.h>

struct inspect_args {
    struct cli_args common;
    int max_seq_len;
};

/* Exact for the default number of rows. For another one, close: a session grows by what each row
 * keeps, and a little more. */
static int64_t session_bytes(const struct vlqa_model_info *info, int tokens)
{
    int64_t per_row = info->kv_bytes_per_token + info->visual_bytes_per_token;
    return info->session_bytes + (tokens - info->session_seq_len) * per_row;
}

/* "4437.82 M" */
static void count_text(int64_t count, char out[32])
{
    snprintf(out, 32, "%.2f M", (double)count / 1e6);
}

__attribute__((format(printf, 2, 3))) static void line(const char *label, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%-18s", label);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static void print_shape(const struct vlqa_model_info *m)
{
    int cell = m->vision_patch * m->vision_merge; /* pixels of a token, on each side */
    line("text", "%d layers, hidden %d, inner %d, vocabulary %d%s", m->layers, m->hidden, m->inner,
         m->vocab, m->tied ? " (tied)" : "");
    line("", "%d heads, %d KV heads, head size %d, %d positions", m->heads, m->kv_heads,
         m->head_dim, m->max_positions);
    line("vision", "%d layers, hidden %d, inner %d, %d heads", m->vision_depth, m->vision_hidden,
         m->vision_inner, m->vision_heads);
    line("", "patch %d, merge %d: one token for %d x %d pixels", m->vision_patch, m->vision_merge,
         cell, cell);
    line("", "images of %lld to %lld pixels", (long long)m->min_pixels, (long long)m->max_pixels);
    printf("%-18s", "deepstack");
    for (int i = 0; i < m->n_deepstack; i++)
        printf("%s%d", i ? ", " : "after vision layer ", m->deepstack[i]);
    puts(m->n_deepstack ? "" : "none");
}

static void print_parameters(const struct vlqa_model_info *m)
{
    char all[32], vision[32], text[32], embedding[32];
    count_text(m->parameters, all);
    count_text(m->parameters_vision, vision);
    count_text(m->parameters_text, text);
    count_text(m->parameters_embedding, embedding);
    line("parameters", "%s", all);
    line("", "%s vision, %s text, %s embedding", vision, text, embedding);
}

static void print_memory(const struct vlqa_model_info *m, int tokens)
{
    char weights[32], session[32], total[32], kv[32], visual[32], chunk[32];
    const char *about = tokens == m->session_seq_len ? "" : "about ";
    int64_t bytes = session_bytes(m, tokens);
    report_bytes(m->weight_memory_bytes, weights);
    report_bytes(bytes, session);
    report_bytes(m->weight_memory_bytes + bytes, total);
    report_bytes(m->kv_bytes_per_token, kv);
    report_bytes(m->visual_bytes_per_token, visual);
    report_bytes(m->chunk_bytes_per_token, chunk);
    line("memory", "%s%s", about, total);
    line("  weights", "%s", weights);
    line("  session", "%s%s for %d tokens", about, session, tokens);
    line("  each token", "%s KV, %s more for visual tokens", kv, visual);
    line("  chunks", "%s a token, in %s", chunk, m->chunk_dtype);
}

static int print_text(const struct vlqa_model_info *m, int tokens)
{
    line("model", "%s", m->name);
    line("digest", "%s", m->digest);
    line("weights", "%s in the files, %s in memory, computed in %s", m->stored, m->weights,
         m->dtype);
    line("processor", "%s, %d threads", m->cpu, m->threads);
    print_parameters(m);
    print_shape(m);
    print_memory(m, tokens);
    return cli_flush();
}

static void report_shape(struct report *r, const struct vlqa_model_info *m)
{
    report_open(r, "text");
    report_int(r, "layers", m->layers);
    report_int(r, "hidden", m->hidden);
    report_int(r, "inner", m->inner);
    report_int(r, "heads", m->heads);
    report_int(r, "kv_heads", m->kv_heads);
    report_int(r, "head_dim", m->head_dim);
    report_int(r, "vocab", m->vocab);
    report_int(r, "max_positions", m->max_positions);
    report_int(r, "tied", m->tied);
    report_close(r);
    report_open(r, "vision");
    report_int(r, "depth", m->vision_depth);
    report_int(r, "hidden", m->vision_hidden);
    report_int(r, "inner", m->vision_inner);
    report_int(r, "heads", m->vision_heads);
    report_int(r, "patch", m->vision_patch);
    report_int(r, "merge", m->vision_merge);
    report_int(r, "min_pixels", m->min_pixels);
    report_int(r, "max_pixels", m->max_pixels);
    report_ints(r, "deepstack", m->deepstack, m->n_deepstack);
    report_close(r);
}

static int print_json(struct cli *cli, const struct vlqa_model_info *m, int tokens)
{
    struct report r = report_begin();
    report_string(&r, "name", m->name);
    report_string(&r, "digest", m->digest);
    report_string(&r, "stored", m->stored);
    report_string(&r, "weights", m->weights);
    report_string(&r, "dtype", m->dtype);
    report_string(&r, "cpu", m->cpu);
    report_int(&r, "threads", m->threads);
    report_open(&r, "parameters");
    report_int(&r, "total", m->parameters);
    report_int(&r, "vision", m->parameters_vision);
    report_int(&r, "text", m->parameters_text);
    report_int(&r, "embedding", m->parameters_embedding);
    report_close(&r);
    report_shape(&r, m);
    report_open(&r, "bytes");
    report_int(&r, "files", m->weight_bytes);
    report_int(&r, "weights", m->weight_memory_bytes);
    report_int(&r, "session", session_bytes(m, tokens));
    report_int(&r, "session_tokens", tokens);
    report_int(&r, "kv_per_token", m->kv_bytes_per_token);
    report_int(&r, "visual_per_token", m->visual_bytes_per_token);
    report_int(&r, "chunk_per_token", m->chunk_bytes_per_token);
    report_int(&r, "total", m->weight_memory_bytes + session_bytes(m, tokens));
    report_close(&r);
    report_string(&r, "version", vlqa_version());
    return cli_write_report(cli, &r);
}

static int inspect(struct cli *cli, const struct inspect_args *args, struct vlqa_engine *engine)
{
    struct vlqa_model_info info;
    int tokens;
    vlqa_status status = vlqa_engine_info(engine, &info, sizeof info);
    if (status != VLQA_OK) return cli_fail(cli, status, vlqa_engine_message(engine));
    tokens = args->max_seq_len ? args->max_seq_len : info.session_seq_len;
    if (tokens > info.max_positions) {
        status = env_fail(&cli->env, VLQA_ELIMIT, "--max-seq-len is %d, the model has %d positions",
                          tokens, info.max_positions);
        return cli_fail(cli, status, cli->env.message);
    }
    return args->common.json ? print_json(cli, &info, tokens) : print_text(&info, tokens);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct inspect_args args = {0};
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct vlqa_engine *engine = NULL;
    struct cli cli;
    int code = cli_begin(&cli, verb, argc, argv, &args.common);
    if (code != CLI_GO_ON) return code;
    cli_catch_interrupt();
    code = cli_open_engine(&cli, &options, &engine);
    if (code == CLI_OK) code = inspect(&cli, &args, engine);
    vlqa_engine_close(engine);
    return code;
}

static const struct arg args[] = {
    {ARG_HEADING, .name = "Model"},
    {ARG_POSITIONAL, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, .offset = offsetof(struct inspect_args, max_seq_len),
     .help = "sequence length whose memory is shown [what the model allows, at most 32768]"},
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    CLI_OUTPUT_ARGS,
};

const struct verb verb_inspect = {
    .name = "inspect",
    .summary = "show what a model is and how much memory it needs",
    .synopsis = "Usage: vlqa inspect [DIR] [OPTION]...\n",
    .notes = "The model is opened as ask opens it, so a directory that passes here can be\n"
             "asked.\n"
             "\n"
             "--json prints one line: name, digest, stored, weights, dtype, cpu, threads,\n"
             "parameters {total, vision, text, embedding}, text {layers, hidden, inner,\n"
             "heads, kv_heads, head_dim, vocab, max_positions, tied}, vision {depth, hidden,\n"
             "inner, heads, patch, merge, min_pixels, max_pixels, deepstack}, bytes {files,\n"
             "weights, session, session_tokens, kv_per_token, visual_per_token,\n"
             "chunk_per_token, total}, version. stored is the format of the files, weights\n"
             "that in memory. With --max-seq-len the size of the session is an estimate.\n"
             "\n"
             "Example:\n"
             "  vlqa inspect Qwen3-VL-4B-Instruct -c 8192\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
