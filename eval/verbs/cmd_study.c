/* cmd_study.c - the verb study: how near each way to reuse stored chunks comes to full prefill. */
#include "base/heap.h"
#include "eval/options/calibration.h"
#include "eval/study/study.h"
#include "eval/verbs/verbs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COSINE_STEPS 8

static int failed(struct study *s, vlqa_status status)
{
    progress_clear(&s->bar);
    return cli_fail(&s->cli, status, vlqa_message(s->session));
}

static int failed_here(struct study *s, vlqa_status status)
{
    progress_clear(&s->bar);
    return cli_fail(&s->cli, status, s->cli.env.message);
}

/* ---- what to run ---- */

static vlqa_status parse_methods(struct study *s, const char *option, const char *list, int *at)
{
    char word[128];
    while (args_next_word(&list, word)) {
        struct method m;
        TRY(method_parse(&s->cli.env, option, word, &m));
        TRY(study_add_method(s, &m, at));
    }
    return VLQA_OK;
}

static vlqa_status parse_ratios(struct study *s)
{
    const char *list = s->args.ratios;
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

static vlqa_status parse_cuts(struct study *s)
{
    const char *list = s->args.chunks;
    char word[128];
    while (args_next_word(&list, word)) {
        if (s->n_cuts == STUDY_CUTS)
            return env_fail(&s->cli.env, VLQA_ELIMIT, "--chunk: more than %d", STUDY_CUTS);
        if (!reuse_read_chunk(word, &s->cut[s->n_cuts].chunk))
            return env_fail(
                &s->cli.env, VLQA_EUSAGE,
                "--chunk: %s is none of auto, image, grid:K, strips:K with K from 1 to 256", word);
        snprintf(s->cut[s->n_cuts].name, sizeof s->cut[0].name, "%.15s", word);
        s->n_cuts++;
    }
    return s->n_cuts ? VLQA_OK : env_fail(&s->cli.env, VLQA_EUSAGE, "--chunk: none given");
}

static vlqa_status parse_lists(struct study *s)
{
    int at;
    TRY(parse_methods(s, "--methods", "none", &at));
    TRY(parse_methods(s, "--methods", s->args.methods, &at));
    TRY(parse_ratios(s));
    TRY(parse_cuts(s));
    if (!s->args.questions)
        return env_fail(&s->cli.env, VLQA_EUSAGE, "no questions: give a file of JSON lines");
    TRY(questions_read(&s->cli.env, s->args.questions, &s->questions));
    s->n_questions = s->questions.n;
    if (s->args.limit && s->args.limit < s->n_questions) s->n_questions = s->args.limit;
    return VLQA_OK;
}

static vlqa_status check_layers(struct study *s)
{
    for (int i = 0; i < s->n_methods; i++) {
        struct method *m = &s->method[i];
        TRY(calibration_apply(&s->cli.env, &s->args.cache, s->engine, &m->args.layers));
        if (reuse_layers_end(&m->args.layers) > s->info.layers)
            return env_fail(&s->cli.env, VLQA_EUSAGE, "--methods: %s: the model has layers 0 to %d",
                            m->name, s->info.layers - 1);
    }
    return VLQA_OK;
}

static vlqa_status complete_methods(struct study *s)
{
    TRY(check_layers(s));
    if (s->args.calibrate) {
        TRY(calibration_check(&s->cli.env, &s->args.cache));
        TRY(study_expand_layers(s));
    }
    if (s->args.against) TRY(parse_methods(s, "--against", s->args.against, &s->against));
    s->room = s->n_methods + (s->args.calibrate ? s->info.layers : 0);
    return check_layers(s);
}

/* ---- one question ---- */

static int add_document(struct study *s, const struct question *q)
{
    const char *item;
    char path[4096];
    vlqa_status status = vlqa_session_clear(s->session);
    for (int i = 0; status == VLQA_OK && (item = question_member(q, "image", i)); i++) {
        if (!question_image_path(&s->questions, item, path, sizeof path))
            return failed_here(s,
                               env_fail(&s->cli.env, VLQA_EIO, "%s: the path is too long", item));
        status = vlqa_add_image_file(s->session, path);
        if (status == VLQA_EIO) status = VLQA_EIMAGE; /* one that is not there is a wrong one */
    }
    for (int i = 0; status == VLQA_OK && (item = question_member(q, "texts", i)); i++)
        status = vlqa_add_text(s->session, item, strlen(item));
    return status == VLQA_OK ? CLI_OK : failed(s, status);
}

static int ask(struct study *s, const struct question *q, const struct vlqa_ask_options *o,
               struct vlqa_answer *answer)
{
    vlqa_status status = vlqa_ask(s->session, q->text, o, answer, sizeof *answer);
    if (cli_interrupted()) status = VLQA_ECANCELLED;
    return status == VLQA_OK ? CLI_OK : failed(s, status);
}

static void keep_logits(void *user, int step, const float *logits, int n)
{
    struct study *s = user;
    memcpy(s->logits + (size_t)step * (size_t)n, logits, (size_t)n * sizeof *logits);
    s->steps = step + 1;
}

/* Full prefill: its answer is what all methods are led along. */
static int ask_reference(struct study *s, int index)
{
    const struct question *q = &s->questions.item[index];
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    int code;
    o.max_tokens = s->args.max_tokens;
    o.on_logits = keep_logits;
    o.user = s;
    code = ask(s, q, &o, &answer);
    if (code != CLI_OK) return code;
    heap_free(s->text);
    s->text = heap_alloc(answer.text_bytes + 1);
    if (!s->text) return failed_here(s, env_no_memory(&s->cli.env, "answer", answer.text_bytes));
    memcpy(s->text, answer.text, answer.text_bytes + 1);
    memcpy(s->token, answer.token, (size_t)answer.n_tokens * sizeof *s->token);
    s->n_tokens = answer.n_tokens;
    s->reference[index] = (struct reference){.flops = answer.flops,
                                             .rows = answer.rows_total,
                                             .steps = s->steps,
                                             .right = question_is_answer(q, answer.text),
                                             .line = q->line};
    return CLI_OK;
}

struct comparison {
    const struct study *s;
    struct outcome *o;
};

static void compare_logits(void *user, int step, const float *logits, int n)
{
    struct comparison *c = user;
    const float *full = c->s->logits + (size_t)step * (size_t)n;
    double steps = c->s->steps, kl = stats_kl(full, logits, n);
    double cosine_steps = steps < COSINE_STEPS ? steps : COSINE_STEPS;
    if (step == 0) c->o->kl_first = kl;
    c->o->kl += kl / steps;
    c->o->top1 += (stats_argmax(full, n) == stats_argmax(logits, n)) / steps;
    if (step < COSINE_STEPS) c->o->cosine += stats_cosine(full, logits, n) / cosine_steps;
}

static int write_line(struct study *s, int index, int cut, const struct method *m, int ratio,
                      const struct outcome *o, const char *text)
{
    const struct question *q = &s->questions.item[index];
    const char *image = question_member(q, "image", 0);
    struct report r = report_begin();
    char *line;
    report_int(&r, "line", q->line);
    report_string(&r, "image", image ? image : "");
    report_string(&r, "question", q->text);
    report_string(&r, "chunk", s->cut[cut].name);
    report_string(&r, "method", m->name);
    report_number(&r, "ratio", method_has_ratio(m) ? s->ratio[ratio] : (double)NAN);
    report_number(&r, "kl", o->kl);
    report_number(&r, "kl_first", o->kl_first);
    report_number(&r, "top1", o->top1);
    report_number(&r, "cosine", o->cosine);
    report_int(&r, "steps", s->steps);
    report_string(&r, "answer", text);
    report_string(&r, "full_answer", s->text);
    report_int(&r, "right", o->right);
    report_int(&r, "full_right", s->reference[index].right);
    report_int(&r, "same", o->same);
    report_int(&r, "rows_total", s->reference[index].rows);
    report_int(&r, "rows_selected", o->rows_selected);
    report_int(&r, "rows_computed", o->rows_computed);
    report_number(&r, "flops", o->flops);
    report_number(&r, "full_flops", s->reference[index].flops);
    report_real(&r, "ms", o->ms);
    line = report_end(&r);
    if (!line) return failed_here(s, env_no_memory(&s->cli.env, "report", 0));
    fprintf(s->lines, "%s\n", line);
    heap_free(line);
    return CLI_OK;
}

static void set_reuse(const struct study *s, const struct method *m, const struct cutting *cut,
                      int ratio, struct vlqa_ask_options *out, struct vlqa_experimental *more)
{
    struct reuse_args args = m->args;
    args.chunk = cut->chunk;
    args.ratio = s->ratio[ratio];
    args.text = s->args.text;
    reuse_options(&args, out, more);
}

static int ask_method(struct study *s, int index, int cut, int method, int ratio)
{
    const struct question *q = &s->questions.item[index];
    const struct method *m = &s->method[method];
    struct outcome *out = study_outcome(s, index, cut, method, ratio);
    struct comparison c = {s, out};
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_experimental more;
    struct vlqa_answer answer;
    const char *text = s->text;
    int code;
    *out = (struct outcome){.kl = 0};
    set_reuse(s, m, &s->cut[cut], ratio, &o, &more);
    o.seed = s->args.seed + (uint64_t)q->line;
    o.max_tokens = s->steps;
    o.forced = s->token;
    o.n_forced = s->n_tokens;
    o.on_logits = compare_logits;
    o.user = &c;
    code = ask(s, q, &o, &answer);
    if (code != CLI_OK) return code;
    out->rows_selected = answer.rows_selected;
    out->rows_computed = answer.rows_recomputed;
    out->flops = answer.flops;
    out->ms = answer.ms_prefill;
    if (out->top1 < 1 - 1e-9) { /* left alone it goes another way */
        o.max_tokens = s->args.max_tokens;
        o.n_forced = 0;
        o.on_logits = NULL;
        code = ask(s, q, &o, &answer);
        if (code != CLI_OK) return code;
        text = answer.text;
    }
    out->same = strcmp(text, s->text) == 0;
    out->right = question_is_answer(q, text);
    return s->lines ? write_line(s, index, cut, m, ratio, out, text) : CLI_OK;
}

static int ask_methods(struct study *s, int index, int cut)
{
    int code = CLI_OK;
    for (int m = s->first_method; m < s->n_methods; m++)
        for (int r = 0; r < s->n_ratios && code == CLI_OK; r++)
            if (r && !method_has_ratio(&s->method[m]))
                *study_outcome(s, index, cut, m, r) = *study_outcome(s, index, cut, m, 0);
            else
                code = ask_method(s, index, cut, m, r);
    return code;
}

static int run_question(struct study *s, int index)
{
    const struct question *q = &s->questions.item[index];
    int code = CLI_OK;
    progress_update(&s->bar, "study", index, s->n_questions);
    if (index == 0 || q[-1].document != q->document) code = add_document(s, q);
    if (code == CLI_OK) code = ask_reference(s, index);
    for (int cut = 0; cut < s->n_cuts && code == CLI_OK; cut++)
        code = ask_methods(s, index, cut);
    return code;
}

/* ---- the whole ---- */

static vlqa_status allocate(struct study *s)
{
    size_t outcomes = (size_t)s->n_questions * (size_t)s->n_cuts * (size_t)s->room *
                      (size_t)s->n_ratios * sizeof *s->outcome;
    size_t tokens = (size_t)s->args.max_tokens;
    size_t logits = tokens * (size_t)s->info.vocab * sizeof *s->logits;
    s->outcome = heap_alloc(outcomes);
    s->reference = heap_alloc((size_t)s->n_questions * sizeof *s->reference);
    s->logits = heap_alloc(logits);
    s->token = heap_alloc(tokens * sizeof *s->token);
    if (s->outcome && s->reference && s->logits && s->token) return VLQA_OK;
    return env_no_memory(&s->cli.env, "outcomes and logits", outcomes + logits);
}

static int open_all(struct study *s)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    vlqa_status status;
    int code = cli_open_engine(&s->cli, &options, &s->engine);
    if (code != CLI_OK) return code;
    status = vlqa_engine_info(s->engine, &s->info, sizeof s->info);
    if (status != VLQA_OK) return cli_fail(&s->cli, status, vlqa_engine_message(s->engine));
    code = cli_open_session(&s->cli, s->engine, s->args.max_rows, 1, &s->session);
    if (code != CLI_OK) return code;
    s->bar = s->cli.bar;
    s->cli.bar.enabled = 0; /* ours goes over all questions */
    status = complete_methods(s);
    if (status == VLQA_OK) status = allocate(s);
    if (status == VLQA_OK && s->args.lines && !(s->lines = fopen(s->args.lines, "w")))
        status = env_fail(&s->cli.env, VLQA_EIO, "%s: %s", s->args.lines, strerror(errno));
    return status == VLQA_OK ? CLI_OK : failed_here(s, status);
}

static int close_lines(struct study *s)
{
    int lost = s->lines && (ferror(s->lines) | fclose(s->lines));
    s->lines = NULL;
    if (!lost) return CLI_OK;
    return failed_here(
        s, env_fail(&s->cli.env, VLQA_EIO, "%s: not written: %s", s->args.lines, strerror(errno)));
}

static int run_questions(struct study *s)
{
    int code = CLI_OK;
    for (int i = 0; i < s->n_questions && code == CLI_OK; i++)
        code = run_question(s, i);
    progress_clear(&s->bar);
    return code;
}

/* Sets of layers are known when each was tried alone. */
static int run_sets(struct study *s)
{
    vlqa_status status;
    s->first_method = s->n_methods;
    status = study_add_sets(s);
    return status == VLQA_OK ? run_questions(s) : failed_here(s, status);
}

static int study(struct study *s)
{
    vlqa_status status = parse_lists(s);
    int code = status == VLQA_OK ? open_all(s) : failed_here(s, status);
    if (code == CLI_OK) code = run_questions(s);
    if (code == CLI_OK && s->args.calibrate) code = run_sets(s);
    if (code == CLI_OK) code = close_lines(s);
    if (code != CLI_OK) return code;
    status = study_print(s);
    if (status == VLQA_OK && s->args.calibrate) status = study_keep_layers(s);
    return status == VLQA_OK ? cli_flush() : failed_here(s, status);
}

static void close_all(struct study *s)
{
    if (s->lines) fclose(s->lines);
    vlqa_session_close(s->session);
    vlqa_engine_close(s->engine);
    questions_free(&s->questions);
    heap_free(s->outcome);
    heap_free(s->reference);
    heap_free(s->logits);
    heap_free(s->token);
    heap_free(s->text);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct study s = {.against = -1};
    int code = cli_begin(&s.cli, verb, argc, argv, &s.args.common);
    if (code != CLI_GO_ON) return code;
    cli_catch_interrupt();
    code = study(&s);
    close_all(&s);
    return code;
}

#define FIELD(member) .offset = offsetof(struct study_args, member)

static const struct arg args[] = {
    {ARG_HEADING, .name = "Input"},
    {ARG_TEXT, .name = "model", .letter = 'm', .value = "DIR", CLI_FIELD(model),
     .help = "Hugging Face directory [the default model]"},
    {ARG_POSITIONAL, .name = "questions", .value = "FILE", FIELD(questions), .help = "JSON lines"},
    {ARG_INT, .name = "limit", .value = "N", .min = 0, .max = 1 << 20, .fallback = "0",
     FIELD(limit), .help = "use the first questions only; 0: all"},
    {ARG_INT, .name = "max-rows", .letter = 'c', .value = "ROWS", .min = 1, .max = 1 << 20,
     FIELD(max_rows), .help = "room for prompt and answer [what the model allows, at most 32768]"},
    {ARG_HEADING, .name = "Comparison"},
    {ARG_TEXT, .name = "methods", .value = "LIST", FIELD(methods),
     .fallback = "infoflow,prophet,cacheblend,epic,vlcache,random",
     .help = "which rows are computed again; none is always there"},
    {ARG_TEXT, .name = "ratios", .value = "LIST", FIELD(ratios),
     .fallback = "0.02,0.05,0.1,0.15,0.2,0.3,0.5", .help = "how many of them"},
    {ARG_TEXT, .name = "chunk", .value = "LIST", FIELD(chunks), .fallback = "grid:2,grid:4",
     .help = "how images are cut: image, grid:K, strips:K"},
    {ARG_FORM, .name = "chunk-text", .value = "HOW", .fallback = "256", .read = reuse_read_text,
     .form = REUSE_TEXT_FORM, FIELD(text), .help = "texts are cut after N rows, or passage[:N]"},
    {ARG_INT, .name = "max-tokens", .letter = 'n', .value = "N", .min = 1, .max = 4096,
     .fallback = "16", FIELD(max_tokens), .help = "of the answer that is compared"},
    {ARG_TEXT, .name = "against", .value = "METHOD", FIELD(against),
     .help = "print paired differences to this one, too"},
    {ARG_FLAG, .name = "calibrate", FIELD(calibrate),
     .help = "methods with layers by each layer alone, too; of the first of them the best set of "
             "layers is kept for --score-layers calibrated"},
    CACHE_DIR_ARG(struct study_args, cache),
    {ARG_SEED, .name = "seed", .letter = 's', .value = "N", .fallback = "0", FIELD(seed),
     .help = "of the bootstrap and of random rows"},
    CLI_COMPUTE_ARGS,
    {ARG_HEADING, .name = "Output"},
    {ARG_TEXT, .name = "json", .value = "FILE", FIELD(lines),
     .help = "write one JSON object for each question, method, ratio and cutting"},
    {ARG_FLAG, .name = "quiet", .letter = 'q', .help = "only results and errors", CLI_FIELD(quiet)},
    {ARG_FLAG, .name = "verbose", .letter = 'v', .help = "log lines of the runtime, too",
     CLI_FIELD(verbose)},
    {ARG_FLAG, .name = "help", .letter = 'h', .help = "this text", CLI_FIELD(help)},
};

const struct verb verb_study = {
    .name = "study",
    .summary = "measure how near chunk reuse comes to full prefill",
    .synopsis = "Usage: vlqa study FILE [--methods LIST] [--ratios LIST] [OPTION]...\n",
    .notes = "A line of FILE is {\"question\": TEXT, \"image\": PATH or [PATH, ...],\n"
             "\"texts\": [TEXT, ...], \"answer\": TEXT or \"answers\": [TEXT, ...]}. Paths are\n"
             "relative to the folder of FILE.\n"
             "\n"
             "Each question is answered greedily by full prefill; every method is then led\n"
             "along that answer and the step behind it, and the Kullback-Leibler divergence\n"
             "of its next-token distributions is averaged over the steps, all rows of the\n"
             "output matrix included. A table tells the share of the divergence without any\n"
             "repair that a method removes, with its 95 % interval.\n"
             "\n"
             "A method is full, none, infoflow, prophet, cacheblend, epic, vlcache, random,\n"
             "kvshare, infoflow-vlm-release, infoflow-llm-release, or oracle, which asks a full\n"
             "prefill first and is a bound, no saving. Behind infoflow, prophet and oracle\n"
             "come, each after a slash, what is left out at will:\n"
             "the rows that ask (suffix, question, last), the score (norm, mass, max, entropy,\n"
             "vatp, combined; of infoflow alone) and the layers (all, 5, 4-6, 3+5-7,\n"
             "calibrated).\n"
             "Behind all but none, full and the releases: taper:T and dilate:N, behind\n"
             "cacheblend and kvshare check:LIST, behind kvshare refresh:K:N, as options of ask.\n"
             "\n"
             "The file of --json holds line, image, question, chunk, method, ratio, kl,\n"
             "kl_first, top1, cosine, steps, answer, full_answer, right, full_right, same,\n"
             "rows_total, rows_selected, rows_computed, flops, full_flops, ms.\n"
             "\n"
             "Example:\n"
             "  vlqa study questions.jsonl --methods infoflow/last,epic --ratios 0.05,0.15\n",
    .arg = args,
    .n_args = (int)(sizeof args / sizeof *args),
    .run = run,
};
