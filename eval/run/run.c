/* run.c - every question by every variant. */
#include "base/heap.h"
#include "eval/data/id_set.h"
#include "eval/options/calibration.h"
#include "eval/options/quality.h"
#include "eval/run/group.h"
#include "eval/run/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static int failed(struct runner *r, vlqa_status status)
{
    progress_clear(&r->bar);
    return cli_fail(r->run.cli, status, r->run.cli->env.message);
}

/* ---- before the model is loaded: all rows once, so that a wrong one is told at once ---- */

static vlqa_status count_rows(struct env *env, const struct run_args *a, int64_t *out)
{
    const struct dataset_item *item;
    struct dataset *d;
    vlqa_status status;
    TRY(dataset_open(env, a->dataset, &a->data, &d));
    *out = 0;
    do
        status = dataset_next(env, d, &item);
    while (status == VLQA_OK && item && ++*out < INT32_MAX && !cli_interrupted());
    dataset_close(d);
    return cli_interrupted() ? VLQA_ECANCELLED : status;
}

/* A row whose answers cannot be graded is found before it is asked. */
static vlqa_status check_item(struct runner *r)
{
    static const struct vlqa_answer nothing = {.text = ""};
    struct metric_grade grade;
    struct row row = {.doc = NULL};
    char name[256], *line = runner_line(r, NULL, &nothing, NULL);
    vlqa_status status;
    if (!line) return env_no_memory(&r->run.cli->env, "row", 0);
    snprintf(name, sizeof name, "%.150s, %s %d (%.60s)", r->item->file, r->item->unit,
             r->item->line, r->item->id);
    status = runner_grade(r, name, line, strlen(line), &row, &grade);
    row_free(&row);
    heap_free(line);
    return status;
}

static void hash_item(struct runner *r, struct hash *h)
{
    const struct dataset_item *item = r->item;
    char letter[2] = {item->letter, 0};
    hash_text(h, item->id);
    hash_text(h, metric_names[runner_metric(r)]);
    hash_text(h, r->prompt);
    hash_text(h, letter);
    hash_u64(h, (uint64_t)item->n_answers);
    for (int i = 0; i < item->n_answers; i++) {
        hash_u64(h, item->answer[i].bytes);
        hash_bytes(h, item->answer[i].at, item->answer[i].bytes);
    }
    hash_u64(h, (uint64_t)item->n_images);
    for (int i = 0; i < item->n_images; i++) { /* by name: the folder may be called otherwise */
        const char *path = item->image[i].path, *slash = path ? strrchr(path, '/') : NULL;
        hash_text(h, slash ? slash + 1 : path ? path : "");
        hash_u64(h, path ? 0 : item->image[i].bytes);
    }
    hash_u64(h, (uint64_t)item->n_texts);
    for (int i = 0; i < item->n_texts; i++)
        hash_text(h, item->text[i]);
    if (item->group) hash_text(h, item->group);
}

static vlqa_status survey_rows(struct runner *r, struct feed_rows *rows, struct hash *h)
{
    struct env *env = &r->run.cli->env;
    struct id_set ids = {.n = 0};
    vlqa_status status = VLQA_OK;
    while (status == VLQA_OK) {
        status = feed_rows_next(env, rows, &r->item);
        if (status != VLQA_OK || !r->item) break;
        if (cli_interrupted()) status = VLQA_ECANCELLED;
        if (status == VLQA_OK) status = id_set_add(env, &ids, r->item);
        if (status == VLQA_OK) status = prompt_form_make(env, r->form, r->item, &r->prompt);
        if (status == VLQA_OK) status = check_item(r);
        if (status != VLQA_OK) break;
        hash_item(r, h);
        r->texts_only += !r->item->n_images && !r->item->n_texts;
        r->run.n_questions++;
    }
    id_set_free(&ids);
    if (r->run.n_questions || status != VLQA_OK) return status;
    return env_fail(env, VLQA_EUSAGE, "%s: no question in it", r->run.args->dataset);
}

/* What is not asked, or asked blind, is told before anything is. */
static void tell_blind(struct runner *r, const struct dataset *d)
{
    const struct run_args *a = r->run.args;
    char blind[RUN_BLIND];
    r->run.blind = dataset_blind_rows(d);
    run_tell_blind(&r->run, blind);
    if (r->run.cli->args->quiet) return;
    if (*blind) cli_note(r->run.cli, "%s", blind);
    if (!dataset_has_images(d) && r->texts_only)
        cli_note(r->run.cli, "no row of %.200s has an image: its questions are asked as texts",
                 a->dataset);
}

static vlqa_status survey(struct runner *r, int64_t *rows, struct key *digest)
{
    const struct run_args *a = r->run.args;
    struct env *env = &r->run.cli->env;
    struct feed_rows asked;
    struct hash h;
    vlqa_status status;
    *rows = INT32_MAX;
    if (a->shuffle) TRY(count_rows(env, a, rows));
    TRY(feed_rows_open(env, a, *rows, &asked));
    r->run.prompt = a->prompt ? a->prompt : prompt_form_default(dataset_format(asked.d));
    hash_begin(&h, "data set");
    status = prompt_form_open(env, r->run.prompt, &r->form);
    if (status == VLQA_OK) status = survey_rows(r, &asked, &h);
    if (status == VLQA_OK) tell_blind(r, asked.d);
    *digest = hash_end(&h);
    feed_rows_close(&asked);
    return status;
}

/* ---- asking ---- */

/* What the words of the question at hand are, before the first variant that is asked. */
static void digest_prompt(struct runner *r)
{
    const char *before = prompt_form_before(r->form, r->item);
    struct hash h;
    hash_begin(&h, "prompt");
    hash_text(&h, before ? before : "");
    hash_u64(&h, (uint64_t)r->item->n_texts);
    for (int i = 0; i < r->item->n_texts; i++)
        hash_text(&h, r->item->text[i]);
    hash_text(&h, r->prompt);
    key_hex(hash_end(&h), r->prompt_digest);
}

static vlqa_status add_document(struct runner *r)
{
    const char *system = r->run.args->document.system;
    const char *before = prompt_form_before(r->form, r->item);
    TRY(vlqa_session_clear(r->session));
    if (system) TRY(vlqa_set_system(r->session, system, strlen(system)));
    for (int i = 0; i < r->item->n_images; i++)
        TRY(vlqa_add_image(r->session, r->at->image[i]));
    if (before) TRY(vlqa_add_text(r->session, before, strlen(before)));
    for (int i = 0; i < r->item->n_texts; i++)
        TRY(vlqa_add_text(r->session, r->item->text[i], strlen(r->item->text[i])));
    return VLQA_OK;
}

/* A vlqa_token_fn. */
static int on_token(void *user, const char *utf8, size_t bytes)
{
    (void)user, (void)utf8, (void)bytes;
    return cli_interrupted();
}

/* options: what more is set of them; NULL: nothing. */
static vlqa_status ask(struct runner *r, const struct run_variant *variant,
                       void (*options)(struct runner *, struct vlqa_ask_options *),
                       struct vlqa_answer *answer)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_experimental more;
    vlqa_status status = add_document(r);
    o.max_tokens = r->run.args->max_tokens;
    o.ignore_eos = r->run.args->ignore_eos;
    o.seed =
        r->run.args->seed + (uint64_t)r->question; /* of --reuse random; the answer is greedy */
    reuse_options(&variant->args, &o, &more);
    o.on_token = on_token;
    if (options) options(r, &o);
    if (status == VLQA_OK) status = vlqa_ask(r->session, r->prompt, &o, answer, sizeof *answer);
    if (cli_interrupted()) return VLQA_ECANCELLED;
    if (status == VLQA_OK) return status;
    return env_fail(&r->run.cli->env, status, "%s", vlqa_message(r->session));
}

/* On standard error, once a question and for the first ones alone. */
static void tell_failure(struct runner *r)
{
    enum { MOST = 10 };
    if (r->told_of == r->question + 1) return;
    r->told_of = r->question + 1;
    if (r->told++ >= MOST) return;
    progress_clear(&r->bar);
    (void)feed_fail(&r->run.cli->env, r->item, VLQA_OK, r->error);
    cli_note(r->run.cli, "%s; counted as wrong%s", r->run.cli->env.message,
             r->told < MOST ? "" : ", and further ones are not told here");
}

static const struct vlqa_answer nothing = {.text = ""};

/* A question that cannot be asked, for a reason that env has, has a line, too: a run of hours does
 * not end at one image. */
static vlqa_status keep_failure(struct runner *r, int variant, vlqa_status status)
{
    size_t bytes;
    snprintf(r->error, sizeof r->error, "%s", r->run.cli->env.message);
    if (!feed_is_bad_question(status) || r->run.args->strict)
        return feed_fail(&r->run.cli->env, r->item, status, r->error);
    for (bytes = strlen(r->error); !text_is_utf8((struct text){r->error, bytes});)
        r->error[--bytes] = 0; /* it was cut within a character */
    tell_failure(r);
    status = runner_keep(r, variant, &nothing);
    r->error[0] = 0;
    return status;
}

/* Once a question; where it cannot be asked there is nothing to hold the others against. */
static vlqa_status ask_full_prefill(struct runner *r, int full, struct vlqa_answer *answer)
{
    vlqa_status status = ask(r, &r->run.variant[full], runner_note_dense, answer);
    if (feed_is_bad_question(status)) TRY(runner_see_full_prefill(r, &nothing));
    if (status == VLQA_OK) TRY(runner_see_full_prefill(r, answer));
    return status;
}

/* Teacher-forced along full prefill's answer; where it would go another way, what it says by
 * itself, too. */
static vlqa_status ask_along(struct runner *r, int variant, struct vlqa_answer *answer)
{
    TRY(ask(r, &r->run.variant[variant], runner_follow_dense, answer));
    if (r->kl.top1 > 1 - 1e-9) return VLQA_OK;
    return ask(r, &r->run.variant[variant], NULL, answer);
}

/* full prefill is asked again where its answer was kept by a run that was stopped before this
 * variant. */
static vlqa_status ask_variant(struct runner *r, int variant, struct vlqa_answer *answer)
{
    int full = run_full_prefill(&r->run);
    vlqa_status status;
    if (variant == full) return ask_full_prefill(r, full, answer);
    if (full >= 0 && r->full.question != r->question + 1) {
        status = ask_full_prefill(r, full, answer);
        if (status != VLQA_OK && !feed_is_bad_question(status)) return status;
    }
    if (runner_can_follow(r)) return ask_along(r, variant, answer);
    return ask(r, &r->run.variant[variant], NULL, answer);
}

/* Once a question: how many of its images the model sees at less than half of their size. */
static void count_images(struct run *run, const struct vlqa_answer *answer)
{
    for (int i = 0; i < answer->n_images; i++) {
        const struct vlqa_placed_image im = vlqa_image_at(answer, i);
        int64_t whole = document_whole_tokens(&im);
        run->images++;
        run->shrunk += whole > 0;
        if (whole > run->whole_tokens) run->whole_tokens = whole;
    }
}

static vlqa_status run_variant(struct runner *r, int variant, int *is_open)
{
    struct vlqa_answer answer;
    vlqa_status status;
    int found, is_first = !*is_open;
    TRY(runner_take(r, variant, &found));
    if (found) return VLQA_OK;
    if (!*is_open) {
        r->start_ms = r->start_ms > 0 ? r->start_ms : env_ms();
        digest_prompt(r);
    }
    *is_open = 1;
    status = r->at->status;
    if (status == VLQA_OK)
        status = ask_variant(r, variant, &answer);
    else
        (void)env_fail(&r->run.cli->env, status, "%s", r->at->reason);
    if (status == VLQA_ECANCELLED) return status;
    if (status == VLQA_OK && is_first) count_images(&r->run, &answer);
    TRY(status == VLQA_OK ? runner_keep(r, variant, &answer) : keep_failure(r, variant, status));
    runner_show(r);
    return VLQA_OK;
}

static vlqa_status next_question(struct runner *r)
{
    struct env *env = &r->run.cli->env;
    TRY(feed_next(env, r->feed, &r->at));
    if (cli_interrupted()) return VLQA_ECANCELLED;
    if (!r->at) return env_fail(env, VLQA_EIO, "%s changed while in use", r->run.args->dataset);
    r->item = &r->at->item;
    return prompt_form_make(env, r->form, r->item, &r->prompt);
}

static vlqa_status run_questions(struct runner *r)
{
    for (r->question = 0; r->question < r->run.n_questions; r->question++) {
        char room[GROUP_NAME];
        int is_open = 0;
        TRY(next_question(r));
        r->run.group[r->question] = group_number(group_name(r->at, room));
        for (int variant = r->run.first; variant < r->run.n_variants; variant++)
            TRY(run_variant(r, variant, &is_open));
    }
    return VLQA_OK;
}

/* ---- the whole ---- */

static vlqa_status check_quality(struct runner *r, const struct run_variant *variant)
{
    const struct reuse_args *a = &variant->args;
    int stands_in = r->run.args->document.stand_in && a->stand_ins >= 0;
    if (!(a->quality.asked > 0) || !stands_in) return VLQA_OK;
    return env_fail(&r->run.cli->env, VLQA_EUSAGE,
                    "--variants: %s: --stand-in was not calibrated: add /stand-in:0 to it",
                    variant->name);
}

static vlqa_status apply_calibrations(struct runner *r)
{
    for (int i = r->run.first; i < r->run.n_variants; i++) {
        struct reuse_layers *layers = &r->run.variant[i].args.layers;
        TRY(check_quality(r, &r->run.variant[i]));
        TRY(quality_apply(r->run.cli, &r->run.args->cache, r->engine, &r->run.variant[i].args));
        if (!layers->calibrated) continue;
        TRY(calibration_apply(&r->run.cli->env, &r->run.args->cache, r->engine, layers));
        reuse_write_layers(layers, ',', r->run.calibrated, sizeof r->run.calibrated);
    }
    return VLQA_OK;
}

static int open_model(struct runner *r)
{
    const struct run_args *a = r->run.args;
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct cli *cli = r->run.cli;
    char path[CACHE_PATH];
    vlqa_status status;
    int code;
    document_options(&a->document, &options);
    cache_options(&a->cache, path, &options);
    code = cli_open_engine(cli, &options, &r->engine);
    if (code != CLI_OK) return code;
    status = vlqa_engine_info(r->engine, &r->run.info, sizeof r->run.info);
    if (status != VLQA_OK) return cli_fail(cli, status, vlqa_engine_message(r->engine));
    code = cli_open_session(cli, r->engine, a->max_seq_len, 1, &r->session);
    if (code == CLI_OK) code = document_stand_in(cli, &a->document, r->session);
    r->bar = cli->bar;
    cli->bar.enabled = 0; /* ours goes over all questions */
    return code;
}

static vlqa_status open_files(struct runner *r)
{
    struct env *env = &r->run.cli->env;
    const char *out = r->run.args->out;
    int answers = r->run.n_questions * (r->run.n_variants - r->run.first);
    char *header;
    vlqa_status status;
    if (!out) return VLQA_OK;
    if (snprintf(r->path, CACHE_PATH, "%s%s", out, r->run.first ? ".more" : "") >= CACHE_PATH ||
        snprintf(r->times_path, CACHE_PATH, "%s.times", r->path) >= CACHE_PATH)
        return env_fail(env, VLQA_EUSAGE, "--out: the path is too long");
    header = run_header(&r->run, r->digest);
    if (!header) return env_no_memory(env, "header", 0);
    status = run_file_open(env, r->path, header, &r->file);
    if (status == VLQA_OK && r->file.rows > answers)
        status = env_fail(env, VLQA_EUSAGE, "%s has %d answers, expected at most %d", r->path,
                          r->file.rows, answers);
    if (status == VLQA_OK && !r->file.rows) (void)unlink(r->times_path); /* of a run that is gone */
    if (status == VLQA_OK) status = run_file_open(env, r->times_path, header, &r->times);
    heap_free(header);
    return status == VLQA_OK ? runner_take_times(r) : status;
}

static void close_files(struct runner *r)
{
    run_file_close(&r->file);
    run_file_close(&r->times);
    feed_close(r->feed);
    r->feed = NULL;
}

/* Room for the variants that came since the last call. */
static vlqa_status allocate(struct run *run)
{
    size_t n = (size_t)run->n_questions, variants = (size_t)run->n_variants, bytes;
    void *grown = NULL;
    if (size_mul(&bytes, n * sizeof *run->outcome, variants))
        grown =
            run->outcome ? heap_resize(run->outcome, run->outcome_bytes, bytes) : heap_alloc(bytes);
    if (!run->metric) run->metric = heap_alloc(n);
    if (!run->group) run->group = heap_alloc(n * sizeof *run->group);
    if (grown) run->outcome = grown;
    if (!run->metric || !run->group || !grown)
        return env_no_memory(&run->cli->env, "outcomes", bytes);
    run->outcome_bytes = bytes;
    for (size_t i = n * (size_t)run->first; i < n * variants; i++)
        run->outcome[i] = (struct run_outcome){.kl = (double)NAN,
                                               .kl_answer = (double)NAN,
                                               .ms = (double)NAN,
                                               .ms_chunks = (double)NAN};
    return VLQA_OK;
}

static vlqa_status run_all(struct runner *r)
{
    const struct run_args *a = r->run.args;
    struct env *env = &r->run.cli->env;
    int whole =
        r->file.rows / (r->run.n_variants - r->run.first); /* questions that are in the file */
    if (a->submission && !r->run.first && !(r->submission = fopen(a->submission, "w")))
        return env_fail(env, VLQA_EIO, "%s: %s", a->submission, strerror(errno));
    TRY(feed_open(env, a, r->rows, r->engine, whole, &r->feed));
    TRY(run_questions(r));
    if (!r->submission) return VLQA_OK;
    fputs("]\n", r->submission);
    if (fflush(r->submission) == 0 && !ferror(r->submission)) return VLQA_OK;
    return env_fail(env, VLQA_EIO, "%s: not written: %s", a->submission, strerror(errno));
}

static void note_kept(struct runner *r)
{
    int n = r->file.rows + r->asked;
    if (r->file.is_open && !r->run.cli->args->quiet)
        cli_note(r->run.cli, "%d of %" PRId64 " answers are in %s; the same command goes on", n,
                 (int64_t)r->run.n_questions * r->run.n_variants, r->file.path);
}

/* ---- the steps ---- */

static vlqa_status check_args(const struct runner *r)
{
    struct env *env = &r->run.cli->env;
    if (r->run.args->submission && r->run.n_variants > 1)
        return env_fail(env, VLQA_EUSAGE, "--submission takes one variant and one chunking");
    if (r->run.args->kl == RUN_KL_ANSWER && run_full_prefill(&r->run) < 0)
        return env_fail(
            env, VLQA_EUSAGE,
            "--kl answer needs full among --variants, because the others follow its answer");
    return VLQA_OK;
}

int run_open(struct run *run)
{
    struct runner *r = (struct runner *)run;
    vlqa_status status = check_args(r);
    if (status == VLQA_OK) status = survey(r, &r->rows, &r->digest);
    return status == VLQA_OK ? open_model(r) : failed(r, status);
}

int run_ask(struct run *run)
{
    struct runner *r = (struct runner *)run;
    int code = CLI_OK;
    vlqa_status status = apply_calibrations(r);
    r->asked = 0;
    r->start_ms = 0;
    if (status == VLQA_OK) status = allocate(run);
    if (status == VLQA_OK) status = open_files(r);
    if (status == VLQA_OK) status = run_all(r);
    if (status == VLQA_OK)
        progress_clear(&r->bar);
    else
        code = failed(r, status);
    if (status != VLQA_OK && r->asked) note_kept(r);
    close_files(r);
    run->first = run->n_variants;
    return code;
}

int run_finish(struct run *run)
{
    struct runner *r = (struct runner *)run;
    int code = cache_check(run->cli, &run->args->cache, r->engine);
    if (code != CLI_OK || !run->n_failed) return code;
    cli_note(run->cli,
             "%d of %" PRId64 " answers failed and count as wrong; their lines have an "
             "error",
             run->n_failed, (int64_t)run->n_questions * run->n_variants);
    return CLI_IMAGE;
}

struct run *run_new(struct cli *cli, const struct run_args *args)
{
    struct runner *r = heap_alloc_zero(sizeof *r);
    if (!r) return NULL;
    r->run.cli = cli;
    r->run.args = args;
    r->room.keep_thoughts = args->thoughts;
    return &r->run;
}

void run_close(struct run *run)
{
    struct runner *r = (struct runner *)run;
    if (!r) return;
    if (r->submission) fclose(r->submission);
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
    prompt_form_close(r->form);
    row_room_free(&r->room);
    for (int i = 0; i < run->n_variants; i++)
        for (int m = 0; m < N_METRICS; m++)
            heap_free(run->variant[i].tally[m]);
    heap_free(run->variant);
    heap_free(run->metric);
    heap_free(run->group);
    heap_free(run->outcome);
    heap_free(r->full.logits);
    heap_free(r->full.token);
    heap_free(r);
}

int run_dataset(struct cli *cli, const struct run_args *args)
{
    struct run *run = run_new(cli, args);
    vlqa_status status;
    int code;
    if (!run) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the run");
    status = run_add_lists(run);
    code = status == VLQA_OK ? run_open(run) : cli_fail(cli, status, cli->env.message);
    if (code == CLI_OK) code = run_ask(run);
    if (code == CLI_OK) code = run_print(run);
    if (code == CLI_OK) code = run_finish(run);
    run_close(run);
    return code;
}
