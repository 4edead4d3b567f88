/* cmd_study.c - the verb study: how near each way to reuse stored chunks comes to full prefill. */
#include "base/heap.h"
#include "eval/options/calibration.h"
#include "eval/study/study.h"
#include "eval/verbs/verbs.h"

#include <stdlib.h>

static int failed_here(struct study *s, vlqa_status status)
{
    return cli_fail(&s->cli, status, s->cli.env.message);
}

/* ---- what to run ---- */

static vlqa_status parse_variants(struct study *s, const char *option, const char *list, int *at)
{
    char word[128];
    while (args_next_word(&list, word)) {
        struct variant m;
        TRY(variant_parse(&s->cli.env, option, word, &m));
        TRY(study_add_variant(s, &m, at));
    }
    return VLQA_OK;
}

static vlqa_status parse_ratios(struct study *s)
{
    const char *list = s->args.run.ratios;
    char word[128];
    while (args_next_word(&list, word)) {
        char *end;
        double ratio = strtod(word, &end);
        if (*end || end == word || !(ratio >= 0 && ratio <= 1))
            return env_fail(&s->cli.env, VLQA_EUSAGE, "--ratios: %s is no number from 0 to 1",
                            word);
        if (s->n_ratios == STUDY_RATIOS)
            return env_fail(&s->cli.env, VLQA_ELIMIT, "--ratios: more than %d", STUDY_RATIOS);
        s->ratio[s->n_ratios++] = ratio;
    }
    return s->n_ratios ? VLQA_OK : env_fail(&s->cli.env, VLQA_EUSAGE, "--ratios: none given");
}

static vlqa_status parse_lists(struct study *s)
{
    struct env *env = &s->cli.env;
    int at;
    if (s->args.calibrate && s->args.calibrate_quality)
        return env_fail(env, VLQA_EUSAGE, "--calibrate and --calibrate-quality exclude each other");
    if (s->args.calibrate_quality) TRY(study_quality_lists(s));
    if (!s->args.calibrate_quality)
        TRY(parse_variants(s, "--variants",
                           s->args.run.document.stand_in ? "none/stand-in:0" : "none", &at));
    TRY(parse_variants(s, "--variants", s->args.run.variants, &at));
    TRY(parse_ratios(s));
    TRY(run_parse_cuts(env, s->args.run.chunks, s->chunking, &s->n_chunkings));
    if (s->args.calibrate_quality) TRY(study_quality_check(s));
    if (s->args.run.dataset) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE, "no questions: give a file of JSON lines");
}

static vlqa_status check_layers(struct study *s)
{
    for (int i = 0; i < s->n_variants; i++)
        if (reuse_layers_end(&s->variant[i].args.layers) > s->run->info.layers)
            return env_fail(&s->cli.env, VLQA_EUSAGE,
                            "--variants: %s: the model has layers 0 to %d", s->variant[i].name,
                            s->run->info.layers - 1);
    return VLQA_OK;
}

static vlqa_status complete_variants(struct study *s)
{
    TRY(check_layers(s));
    if (s->args.calibrate || s->args.calibrate_quality)
        TRY(calibration_check(&s->cli.env, &s->args.run.cache));
    if (s->args.calibrate) {
        TRY(study_expand_layers(s));
    }
    if (s->args.against) TRY(parse_variants(s, "--against", s->args.against, &s->against));
    return check_layers(s);
}

/* Arms of the variants that have none yet. */
static vlqa_status add_run_variants(struct study *s)
{
    for (int m = s->asked; m < s->n_variants; m++) {
        int n = variant_has_ratio(&s->variant[m]) ? s->n_ratios : 1;
        s->variant[m].args.text = s->args.run.reuse.text;
        s->run_at[m] = s->run->n_variants;
        for (int i = 0; i < n; i++)
            TRY(run_add_method(s->run, &s->variant[m], s->ratio[i], s->chunking, s->n_chunkings));
    }
    s->asked = s->n_variants;
    return VLQA_OK;
}

static int ask(struct study *s)
{
    vlqa_status status = add_run_variants(s);
    if (status != VLQA_OK) return failed_here(s, status);
    return s->run->first < s->run->n_variants ? run_ask(s->run) : CLI_OK; /* one layer: no sets */
}

/* Sets of layers are known when each was tried alone. */
static int ask_sets(struct study *s)
{
    vlqa_status status = study_add_sets(s);
    return status == VLQA_OK ? ask(s) : failed_here(s, status);
}

static int open_run(struct study *s)
{
    struct run_variant full = run_full(&s->args.run.reuse, "full");
    vlqa_status status;
    int code;
    s->run = run_new(&s->cli, &s->args.run);
    if (!s->run) return cli_fail(&s->cli, VLQA_EMEMORY, "out of memory: the run");
    full.args.chunk = s->chunking[0].chunk;
    status = run_add(s->run, &full);
    code = status == VLQA_OK ? run_open(s->run) : failed_here(s, status);
    if (code != CLI_OK) return code;
    status = complete_variants(s);
    return status == VLQA_OK ? CLI_OK : failed_here(s, status);
}

static int study(struct study *s)
{
    vlqa_status status = parse_lists(s);
    int code = status == VLQA_OK ? open_run(s) : failed_here(s, status);
    if (code == CLI_OK) code = ask(s);
    if (code == CLI_OK && s->args.calibrate) code = ask_sets(s);
    if (code != CLI_OK) return code;
    status = s->args.calibrate_quality ? study_keep_quality(s) : study_print(s);
    if (status == VLQA_OK && s->args.calibrate) status = study_keep_layers(s);
    return status == VLQA_OK ? cli_flush() : failed_here(s, status);
}

/* What a study leaves to no option. */
static void set_run(struct study *s)
{
    struct run_args *run = &s->args.run;
    run->kl = RUN_KL_ANSWER;
    run->prompt = "plain";
    run->prompt_by = "study";
    run->calibrate = s->args.calibrate;
    run->strict = run->unanswered = 1;
    run->jobs = 3;
    run->seed = s->args.seed + 1; /* of the first question, as of line 1 */
    run->cache.is_home_only = 1;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct study *s = heap_alloc_zero(sizeof *s);
    int code;
    if (!s) return CLI_FAILED;
    s->against = -1;
    code = cli_begin(&s->cli, verb, argc, argv, &s->args.common);
    if (code == CLI_GO_ON) {
        cli_catch_interrupt();
        set_run(s);
        code = study(s);
    }
    run_close(s->run);
    heap_free(s);
    return code;
}

#define FIELD(member) .offset = offsetof(struct study_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Input"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    CLI_TEMPLATE_ARG,
    {ARG_POSITIONAL, .name = "questions", .value = "FILE", FIELD(run.dataset),
     .help = "JSON lines, or any data set of vlqa eval"},
    {ARG_INT, .name = "limit", .value = "N", .min = 0, .max = 1 << 20, .fallback = "0",
     FIELD(run.limit), .help = "use the first N questions only; 0 uses all"},
    {ARG_FLAG, .name = "ignore-eos", FIELD(run.ignore_eos),
     .help = "let every answer have --max-tokens tokens, to compare long ones"},
    {ARG_INT, .name = "max-seq-len", .old = "max-rows", .letter = 'c', .value = "TOKENS", .min = 1,
     .max = 1 << 20, FIELD(run.max_seq_len),
     .help = "longest sequence of prompt and answer [what the model allows, at most 32768]"},
    {ARG_HEADING, .name = "Comparison"},
    {ARG_TEXT, .name = "variants", .old = "methods", .value = "LIST", FIELD(run.variants),
     .fallback = "infoflow,prophet,cacheblend,epic,vlcache,random",
     .help = "variants to compare; none is always included"},
    {ARG_TEXT, .name = "ratios", .value = "LIST", FIELD(run.ratios),
     .fallback = "0.02,0.05,0.1,0.15,0.2,0.3,0.5", .help = "recompute ratios"},
    {ARG_TEXT, .name = "chunk", .value = "LIST", FIELD(run.chunks), .fallback = "grid:2,grid:4",
     .help = "chunkings of images: image, grid:K, strips:K"},
    {ARG_FORM, .name = "chunk-text", .value = "HOW", .fallback = "256", .read = reuse_read_text,
     .form = REUSE_TEXT_FORM, FIELD(run.reuse.text),
     .help = "chunking of texts: N tokens at most, or passage[:N]"},
    {ARG_INT, .name = "max-tokens", .letter = 'n', .value = "N", .min = 1, .max = 4096,
     .fallback = "16", FIELD(run.max_tokens), .help = "longest answer that is compared"},
    {ARG_TEXT, .name = "against", .value = "VARIANT", FIELD(against),
     .help = "print paired differences to this variant, too"},
    {ARG_FLAG, .name = "calibrate", FIELD(calibrate),
     .help = "run variants with an attention probe for each layer alone, too, and store the best "
             "set of layers of the first one for --probe-layers calibrated"},
    {ARG_FLAG, .name = "calibrate-quality", FIELD(calibrate_quality),
     .help =
         "store how far tokens have to lead for --quality; by one question about each document"},
    CACHE_DIR_ARG(struct study_args, run.cache),
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(seed),
     .help = "seed of the bootstrap and of the variant random"},
    DOCUMENT_IMAGE_ARGS(struct study_args, run.document),
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_TEXT, .name = "out", .old = "json", .letter = 'o', .value = "FILE", FIELD(run.out),
     .help =
         "write every answer there, as vlqa eval --out does; a study that was stopped is resumed"},
    CLI_LOG_ARGS,
};

const struct verb verb_study = {
    .name = "study",
    .summary = "measure how close chunk reuse comes to full prefill",
    .synopsis = "Usage: vlqa study FILE [--variants LIST] [--ratios LIST] [OPTION]...\n",
    .notes = "A line of FILE is {\"question\": TEXT, \"image\": PATH or [PATH, ...],\n"
             "\"texts\": [TEXT, ...], \"answer\": TEXT or \"answers\": [TEXT, ...]}. Paths are\n"
             "relative to the folder of FILE. FILE may also be a data set of vlqa eval.\n"
             "\n"
             "Full prefill answers each question greedily. Every variant is then teacher-\n"
             "forced along that answer and one step further, and the Kullback-Leibler\n"
             "divergence (KL) of its next-token distributions from those of full prefill is\n"
             "averaged over the steps, over all rows of the output matrix. A table shows the\n"
             "KL gap recovered, 1 - KL / KL without any recomputation, with its 95 % interval,\n"
             "of a bootstrap over documents: questions about one belong together.\n"
             "\n"
             "A variant is full, none, infoflow, prophet, cacheblend, epic, vlcache, random,\n"
             "kvshare, infoflow-vlm-release, infoflow-llm-release, or oracle, which runs a\n"
             "full prefill first and is a bound, not a saving. Settings follow infoflow,\n"
             "prophet and oracle, each after a slash and each optional: the query tokens\n"
             "(suffix, question, last), the token score (norm, mass, max, entropy, vatp,\n"
             "combined; for infoflow only) and the probe layers (all, 5, 4-6, 3+5-7,\n"
             "calibrated). taper:T and closing:N follow all but none, full and the releases;\n"
             "check:LIST follows cacheblend and kvshare; refresh:K:N follows kvshare. They\n"
             "mean what the options of ask mean. halo:N and stand-in:N (the first N of\n"
             "--stand-in, 0: none) follow all but the releases.\n"
             "kv:0.2 follows all, and off, whose KV cache is then compressed; with it keep:HOW,\n"
             "window:N, step:N, block:N, entropy:S, shared and worst.\n"
             "\n"
             "The verb is vlqa eval --kl answer --prompt plain --strict with chunks in RAM\n"
             "only, and the file of --out is what that verb writes and reads: --report,\n"
             "--curve and --compare accept it. Sets of layers that --calibrate tries are in\n"
             "FILE.more.\n"
             "\n"
             "--calibrate-quality measures what --reuse auto would answer at each margin and\n"
             "stores for --quality which margins are safe. Only the first question about a\n"
             "document counts, by one chunking in turn, so that answers are independent: more\n"
             "documents help, more questions about one do not. For a quality of 0.99 some 400\n"
             "are the least. No tables are printed. By default: --variants\n"
             "infoflow/last/max/halo:auto, --ratios 0,0.15,\n"
             "--chunk grid:2,grid:4,image; another halo is calibrated by halo:N.\n"
             "\n"
             "Example:\n"
             "  vlqa study questions.jsonl --variants infoflow/last,epic --ratios 0.05,0.15\n",
    .brief = "questions model limit variants ratios chunk max-tokens against out quiet help "
             "help-all",
    .example = "vlqa study questions.jsonl --variants infoflow/last,epic --ratios 0.05,0.15",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
