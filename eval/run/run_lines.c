/* run_lines.c - answers to lines and sums, and lines back to sums. */
#include "base/hash.h"
#include "base/heap.h"
#include "eval/data/dataset_list.h"
#include "eval/grade/thoughts.h"
#include "eval/run/group.h"
#include "eval/run/repaired.h"
#include "eval/run/runner.h"

#include <math.h>
#include <string.h>

enum metric runner_metric(const struct runner *r)
{
    return r->run.args->metric ? (enum metric)(r->run.args->metric - 1) : r->item->metric;
}

/* ---- lines ---- */

static void report_variant(struct report *out, const struct run_variant *variant)
{
    report_string(out, "variant", variant->name);
    if (variant->chunking[0]) report_string(out, "chunk", variant->chunking);
    if (!isnan(variant->ratio)) report_number(out, "ratio", variant->ratio);
}

static void report_digests(struct report *out, const struct runner *r)
{
    report_open(out, "digests");
    report_string(out, "model", r->run.info.digest);
    report_string(out, "prompt", r->prompt_digest);
    report_open_list(out, "images");
    for (int i = 0; i < r->item->n_images; i++)
        report_string(out, NULL, r->at->digest[i]);
    report_close(out);
    report_close(out);
}

static void report_grade(struct report *out, enum metric metric, const struct metric_grade *grade)
{
    char letter[2] = {grade->letter, 0};
    report_number(out, "score", grade->score);
    if (grade->score_lmms < grade->score || grade->score_lmms > grade->score)
        report_number(out, "score_lmms", grade->score_lmms);
    if (metric == METRIC_MCQ) report_string(out, "extracted", letter);
}

/* Tokens of chunks that are not what a full prefill gives. */
static int count_stale(const struct vlqa_answer *answer)
{
    int n = 0;
    for (int i = 0; i < answer->n_chunks; i++)
        n += vlqa_chunk_at(answer, i).tokens - vlqa_chunk_at(answer, i).tokens_exact;
    return n;
}

static void report_cost(struct report *out, const struct vlqa_answer *answer)
{
    report_open(out, "prompt_tokens");
    report_int(out, "total", answer->tokens_total);
    report_int(out, "selected", answer->tokens_selected);
    report_int(out, "recomputed", answer->tokens_recomputed);
    report_int(out, "stale", count_stale(answer));
    report_close(out);
    report_number(out, "flops", answer->flops);
    report_int(out, "exact", answer->exact);
    report_int(out, "tokens", answer->n_tokens);
}

static void report_divergence(struct report *out, const struct runner *r)
{
    if (!isnan(r->kl.kl_first)) report_number(out, "kl", r->kl.kl_first);
    if (isnan(r->kl.kl)) return;
    report_number(out, "kl_answer", r->kl.kl);
    report_int(out, "steps", r->full.steps);
    report_number(out, "top1", r->kl.top1);
    if (isfinite(r->kl.lead)) report_number(out, "lead", r->kl.lead);
    report_number(out, "cosine", r->kl.cosine);
    report_open_list(out, "kl_by_distance");
    for (int i = 0; i <= stats_distance(r->full.steps - 1); i++)
        report_number(out, NULL, r->kl.kl_at[i] / r->kl.steps_at[i]);
    report_close(out);
}

/* The text, with --thoughts keep behind the thoughts as the model wrote them. */
static void report_prediction(struct report *out, const struct runner *r,
                              const struct vlqa_answer *answer)
{
    size_t cap = answer->thinking_bytes + answer->text_bytes + 64;
    char *whole = r->run.args->thoughts && answer->thinking_bytes ? heap_alloc(cap) : NULL;
    if (whole) {
        int bytes = snprintf(whole, cap, "<think>\n%.*s%s%.*s", (int)answer->thinking_bytes,
                             answer->thinking, answer->thinking_is_open ? "" : "\n</think>\n\n",
                             (int)answer->text_bytes, answer->text);
        report_text(out, "prediction", whole, (size_t)bytes);
        heap_free(whole);
        return;
    }
    report_text(out, "prediction", answer->text, answer->text_bytes);
    if (answer->thinking_bytes)
        report_text(out, "thinking", answer->thinking, answer->thinking_bytes);
}

/* What is the same whenever the question is asked. variant NULL: only what grading needs.
 * grade NULL: not yet graded. */
char *runner_line(const struct runner *r, const struct run_variant *variant,
                  const struct vlqa_answer *answer, const struct metric_grade *grade)
{
    struct report out = report_begin();
    char room[GROUP_NAME];
    report_string(&out, "id", r->item->id);
    report_int(&out, "line", r->item->line);
    report_string(&out, "metric", metric_names[runner_metric(r)]);
    if (variant) report_variant(&out, variant);
    report_prediction(&out, r, answer);
    if (*r->error) report_string(&out, "error", r->error);
    if (grade) report_grade(&out, runner_metric(r), grade);
    dataset_report(&out, r->item);
    if (r->run.args->unanswered && !r->item->letter && !r->item->n_answers) {
        report_open_list(&out, "answers");
        report_close(&out);
    }
    if (variant) {
        if (!r->item->group) report_string(&out, "group", group_name(r->at, room));
        report_string(&out, "question", r->item->question);
        dataset_report_images(&out, r->item);
        if (!*r->error) {
            report_cost(&out, answer);
            report_divergence(&out, r);
            repaired_report(&out, answer);
        }
        report_digests(&out, r);
    }
    return report_end(&out);
}

/* What is not: the row it belongs to, times, where records came from. */
static char *times_line(int row, const struct vlqa_answer *answer)
{
    struct report r = report_begin();
    report_int(&r, "row", row);
    report_open(&r, "ms");
    report_real(&r, "decode_image", answer->ms_decode_image);
    report_real(&r, "vision", answer->ms_vision);
    report_real(&r, "prefill", answer->ms_prefill);
    report_real(&r, "chunks", answer->ms_chunks);
    report_real(&r, "assemble", answer->ms_assemble);
    report_real(&r, "score", answer->ms_score);
    report_real(&r, "repair", answer->ms_repair);
    report_real(&r, "first_token", answer->ms_first_token);
    report_real(&r, "decode", answer->ms_decode);
    report_real(&r, "total", answer->ms_total);
    report_close(&r);
    report_counts(&r, "chunks", answer->chunks_ram, answer->chunks_disk, answer->chunks_computed);
    report_counts(&r, "visual", answer->visual_ram, answer->visual_disk, answer->visual_computed);
    report_int(&r, "peak_bytes", (int64_t)answer->peak_bytes);
    return report_end(&r);
}

/* ---- sums ---- */

vlqa_status runner_grade(struct runner *r, const char *name, const char *line, size_t bytes,
                         struct row *row, struct metric_grade *out)
{
    struct env *env = &r->run.cli->env;
    TRY(row_parse(env, name, line, bytes, row));
    return row_grade(env, name, runner_metric(r), bytes, &r->room, row, out);
}

static vlqa_status add_score(struct runner *r, int variant, const struct row *row,
                             const struct metric_grade *grade)
{
    struct env *env = &r->run.cli->env;
    enum metric metric = runner_metric(r);
    struct tally **tally = &r->run.variant[variant].tally[metric];
    struct run_outcome *out = run_outcome(&r->run, r->question, variant);
    const struct json *root = json_root(row->doc);
    const char *prediction = json_text(json_get(root, "prediction"));
    if (!*tally) {
        *tally = heap_alloc_zero(sizeof **tally);
        if (!*tally) return env_no_memory(env, "tally", sizeof **tally);
        (*tally)->metric = metric;
    }
    r->run.metric[r->question] = (signed char)metric;
    out->score = grade->score;
    out->tokens =
        json_number(json_get(json_get_renamed(root, "prompt_tokens", "rows"), "recomputed"));
    out->total = json_number(json_get(json_get(root, "prompt_tokens"), "total"));
    out->selected = json_number(json_get(json_get(root, "prompt_tokens"), "selected"));
    out->stale = json_number(json_get(json_get(root, "prompt_tokens"), "stale"));
    out->flops = json_number(json_get(root, "flops"));
    out->lead = json_number(json_get(root, "lead"));
    out->apart = json_number(json_get(root, "top1")) < 1 - 1e-9;
    out->kl = json_number(json_get(root, "kl"));
    out->kl_answer = json_number(json_get(root, "kl_answer"));
    out->prediction = checksum64(prediction, strlen(prediction));
    out->failed = row_is_failed(row);
    r->run.n_failed += out->failed;
    r->score += grade->score;
    r->done++;
    return tally_add(env, *tally, row, grade);
}

static void json_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*text);
        else
            fputc(*text, to);
    fputc('"', to);
}

/* The server's question ids are numbers. */
static void submit(struct runner *r, const char *prediction)
{
    const char *id = r->item->id;
    int is_number = *id && strspn(id, "0123456789") == strlen(id);
    char *answer = r->submission && !r->room.keep_thoughts ? thoughts_answer(prediction) : NULL;
    if (!r->submission) return;
    fputs(r->question ? ",\n{\"questionId\": " : "[{\"questionId\": ", r->submission);
    if (is_number)
        fputs(id, r->submission);
    else
        json_string(r->submission, id);
    fputs(", \"answer\": ", r->submission);
    json_string(r->submission, answer ? answer : prediction);
    fputc('}', r->submission);
    heap_free(answer);
}

void runner_show(struct runner *r)
{
    int64_t total = (int64_t)r->run.n_questions * r->run.n_variants;
    double seconds = (env_ms() - r->start_ms) / 1e3;
    snprintf(r->bar.note, sizeof r->bar.note, ", mean score %.1f, %.0f s left",
             100 * r->score / (double)r->done,
             seconds / (double)r->asked * (double)(total - r->done));
    progress_update(&r->bar, "eval", r->done, total);
}

/* ---- rows that are there already ---- */

static int is_text(const struct json *root, const char *name, const char *text)
{
    const char *found = json_text(json_get(root, name));
    return strcmp(found ? found : "", text) == 0;
}

static vlqa_status check_kept(struct runner *r, const char *name, const struct run_variant *variant,
                              const struct json *root)
{
    double ratio = json_number(json_get(root, "ratio"));
    char label[RUN_LABEL];
    if (is_text(root, "id", r->item->id) && is_text(root, "variant", variant->name) &&
        is_text(root, "chunk", variant->chunking) && !(fabs(ratio - variant->ratio) > 0))
        return VLQA_OK;
    run_variant_label(variant, label);
    return env_fail(&r->run.cli->env, VLQA_EUSAGE,
                    "%s: expected the answer to %.60s by %s%s%s; the file was changed", name,
                    r->item->id, label, variant->chunking[0] ? ", " : "", variant->chunking);
}

/* *found: the row was in the file. */
vlqa_status runner_take(struct runner *r, int variant, int *found)
{
    struct env *env = &r->run.cli->env;
    struct metric_grade grade;
    struct row row = {.doc = NULL};
    const char *line = NULL;
    size_t bytes;
    char name[256];
    vlqa_status status;
    *found = 0;
    if (!r->file.is_open) return VLQA_OK;
    TRY(run_file_next(env, &r->file, &line, &bytes));
    if (!line) return VLQA_OK;
    *found = 1;
    lines_name(&r->file.lines, name);
    status = runner_grade(r, name, line, bytes, &row, &grade);
    if (status == VLQA_OK)
        status = check_kept(r, name, &r->run.variant[variant], json_root(row.doc));
    if (status == VLQA_OK) status = add_score(r, variant, &row, &grade);
    if (status == VLQA_OK) submit(r, json_text(json_get(json_root(row.doc), "prediction")));
    row_free(&row);
    return status;
}

static void note_times(struct run_outcome *out, double total, double chunks)
{
    out->ms = total - chunks;
    out->ms_chunks = chunks;
}

/* Times of rows that are kept; those of others are cut off. */
vlqa_status runner_take_times(struct runner *r)
{
    struct env *env = &r->run.cli->env;
    const char *line;
    size_t bytes;
    int n = r->run.n_variants - r->run.first;
    for (;;) {
        struct json_doc *doc = NULL;
        double row = -1, ms = (double)NAN, chunks = (double)NAN;
        TRY(run_file_next(env, &r->times, &line, &bytes));
        if (!line) return VLQA_OK;
        if (json_parse(env, r->times.path, line, bytes, ROW_MAX, &doc) == VLQA_OK) {
            row = json_number(json_get(json_root(doc), "row"));
            ms = json_number(json_get(json_get(json_root(doc), "ms"), "total"));
            chunks = json_number(json_get(json_get(json_root(doc), "ms"), "chunks"));
        }
        json_free(doc);
        if (!(row >= 0 && row < r->file.rows)) return run_file_cut(env, &r->times);
        note_times(run_outcome(&r->run, (int)row / n, r->run.first + (int)row % n), ms, chunks);
    }
}

static vlqa_status append(struct runner *r, struct run_file *file, char *line)
{
    vlqa_status status = VLQA_OK;
    if (!line) return env_no_memory(&r->run.cli->env, "row", 0);
    if (file->is_open) status = run_file_append(&r->run.cli->env, file, line);
    heap_free(line);
    return status;
}

/* Graded, kept, counted. */
vlqa_status runner_keep(struct runner *r, int variant, const struct vlqa_answer *answer)
{
    struct metric_grade grade;
    struct row row = {.doc = NULL};
    char *line;
    int place = r->question * (r->run.n_variants - r->run.first) + variant - r->run.first;
    vlqa_status status;
    runner_compare_first(r, variant, answer);
    line = runner_line(r, &r->run.variant[variant], answer, NULL);
    if (!line) return env_no_memory(&r->run.cli->env, "row", 0);
    status = runner_grade(r, r->item->id, line, strlen(line), &row, &grade);
    heap_free(line);
    if (status == VLQA_OK)
        status = append(r, &r->file, runner_line(r, &r->run.variant[variant], answer, &grade));
    if (status == VLQA_OK && !*r->error) status = append(r, &r->times, times_line(place, answer));
    if (status == VLQA_OK) status = add_score(r, variant, &row, &grade);
    row_free(&row);
    submit(r, answer->text);
    if (!*r->error)
        note_times(run_outcome(&r->run, r->question, variant), answer->ms_total, answer->ms_chunks);
    r->asked++;
    return status;
}
