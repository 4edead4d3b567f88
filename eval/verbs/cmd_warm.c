/* cmd_warm.c - the verb cache warm: documents into the cache, for questions to come. */
#include "eval/options/cache_flags.h"
#include "eval/options/document.h"
#include "eval/options/reuse_flags.h"
#include "eval/verbs/verbs.h"

#include <string.h>

struct warm_args {
    struct cli_args common;
    struct document_args document;
    struct reuse_args reuse; /* how chunks are cut; the rest stays zero */
    struct cache_args cache;
    int max_seq_len;
};

struct warm {
    struct cli cli;
    struct warm_args args;
    struct document document;
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int open_all(struct warm *w)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    char path[CACHE_PATH];
    int code;
    document_options(&w->args.document, &options);
    cache_options(&w->args.cache, path, &options);
    if (!options.cache_dir)
        return cli_fail(&w->cli, VLQA_EUSAGE, "nothing would be stored: give --cache-dir DIR");
    code = cli_open_engine(&w->cli, &options, &w->engine);
    if (code != CLI_OK) return code;
    code = cli_open_session(&w->cli, w->engine, w->args.max_seq_len,
                            reuse_is_experimental(&w->args.reuse), &w->session);
    return code == CLI_OK ? document_stand_in(&w->cli, &w->args.document, w->session) : code;
}

static int print_json(struct warm *w, const struct vlqa_answer *a)
{
    struct report r = report_begin();
    report_counts(&r, "visual", a->visual_ram, a->visual_disk, a->visual_computed);
    report_counts(&r, "chunks", a->chunks_ram, a->chunks_disk, a->chunks_computed);
    report_int(&r, "context_tokens", a->tokens_context);
    report_string(&r, "version", vlqa_version());
    return cli_write_report(&w->cli, &r);
}

static int print_text(const struct vlqa_answer *a)
{
    printf("images: %d hit, %d computed\nchunks: %d hit, %d computed\n",
           a->visual_ram + a->visual_disk, a->visual_computed, a->chunks_ram + a->chunks_disk,
           a->chunks_computed);
    return cli_flush();
}

static int warm(struct warm *w)
{
    struct vlqa_ask_options options = vlqa_ask_options_default();
    struct vlqa_experimental more;
    struct vlqa_answer answer;
    vlqa_status status;
    int code;
    reuse_options(&w->args.reuse, &options, &more);
    status = vlqa_warm(w->session, &options, &answer, sizeof answer);
    progress_clear(&w->cli.bar);
    if (status != VLQA_OK) return cli_fail(&w->cli, status, vlqa_message(w->session));
    code = w->args.common.json ? print_json(w, &answer) : print_text(&answer);
    return code == CLI_OK ? cache_check(&w->cli, &w->args.cache, w->engine) : code;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct warm w;
    int code;
    memset(&w, 0, sizeof w);
    code = cli_begin(&w.cli, verb, argc, argv, &w.args.common);
    if (code != CLI_GO_ON) return code;
    w.args.cache.strict = 1; /* what is not kept was for nothing */
    w.document = (struct document){.cli = &w.cli, .args = &w.args.document};
    code = w.args.document.items.n
               ? document_read(&w.document)
               : cli_fail(&w.cli, VLQA_EUSAGE, "no document: give --image or --text");
    cli_catch_interrupt();
    if (code == CLI_OK) code = open_all(&w);
    if (code == CLI_OK) code = document_add(&w.document, w.session);
    if (code == CLI_OK) code = warm(&w);
    vlqa_session_close(w.session);
    vlqa_engine_close(w.engine);
    document_free(&w.document);
    return code;
}

static const struct arg args[] = {
    {ARG_HEADING, .name = "Document (images and texts in the order that questions will have)"},
    DOCUMENT_ITEM_ARGS(struct warm_args, document),
    REUSE_CHUNK_ARGS(struct warm_args, reuse),
    {ARG_HEADING, .name = "Model"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, .offset = offsetof(struct warm_args, max_seq_len),
     .help = "longest prompt [what the model allows, at most 32768]"},
    DOCUMENT_IMAGE_ARGS(struct warm_args, document),
    CACHE_ARGS(struct warm_args, cache),
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    CLI_OUTPUT_ARGS,
};

const struct verb verb_cache_warm = {
    .name = "cache warm",
    .summary = "compute and store what questions about a document will need",
    .synopsis = "Usage: vlqa cache warm [-m DIR] [--image FILE | --text FILE]... [OPTION]...\n",
    .notes = "Later questions hit these records if model, system text, images, --chunk,\n"
             "--chunk-text and the options of images and computation are the same. The exit\n"
             "code is 6 if something could not be stored.\n"
             "\n"
             "--json prints one line: visual and chunks {ram, disk, computed},\n"
             "context_tokens, version.\n"
             "\n"
             "Example:\n"
             "  vlqa cache warm --image chart.png --chunk grid:2\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
