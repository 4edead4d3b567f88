/* answers.c - JSON lines to rows; texts are cut and kept, the rest of a line is let go. */
#include "eval/report/answers.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/heap.h"
#include "eval/data/lines.h"
#include "eval/run/group.h"
#include "eval/run/row.h"
#include "eval/run/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

#define BLOCK ((size_t)256 << 10)
#define FACT_TEXT ((size_t)8 << 10) /* bytes of what is told of a run: commands are long */

struct answer_texts {
    struct answer_texts *next;
    size_t used;
    char data[BLOCK];
};

static const char *const time_names[ANSWER_TIMES] = {"vision", "chunks",  "assemble", "score",
                                                     "repair", "prefill", "decode"};

/* A copy, cut between characters at so many bytes with a word on how long it was. NULL: no memory.
 */
static const char *keep_text(struct answer_set *set, const char *text, size_t most)
{
    size_t bytes = text ? strlen(text) : 0, cut = bytes < most ? bytes : most;
    char tail[64] = "", *to;
    if (!bytes) return "";
    while (cut < bytes && cut && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    if (cut < bytes) snprintf(tail, sizeof tail, "\xe2\x80\xa6 (%zu bytes)", bytes);
    if (!set->texts || set->texts->used + cut + sizeof tail > BLOCK) {
        struct answer_texts *block = heap_alloc(sizeof *block);
        if (!block) return NULL;
        block->next = set->texts;
        block->used = 0;
        set->texts = block;
    }
    to = set->texts->data + set->texts->used;
    memcpy(to, text, cut);
    memcpy(to + cut, tail, strlen(tail) + 1);
    set->texts->used += cut + strlen(tail) + 1;
    return to;
}

struct keeper { /* of a file */
    struct answer_set *set;
    const char *dataset; /* of its lines that name none */
    int ordinal;         /* of the line to come among those with an id */
    int failed;
};

static const char *keep_most(struct keeper *k, const char *text, size_t most)
{
    const char *kept = keep_text(k->set, text, most);
    if (!kept) k->failed = 1;
    return kept ? kept : "";
}

static const char *keep(struct keeper *k, const char *text)
{
    return keep_most(k, text, ANSWER_TEXT);
}

/* ---- members ---- */

static const char *text_at(const struct json *object, const char *name)
{
    const char *text = json_text(json_get(object, name));
    return text ? text : "";
}

static const char *renamed_text_at(const struct json *object, const char *name, const char *former)
{
    const char *text = json_text(json_get_renamed(object, name, former));
    return text ? text : "";
}

/* A text, or a list of them joined: " | " between targets, blanks between words of a command. */
static const char *join(const struct json *value, const char *between, char *out, size_t cap)
{
    size_t used = 0;
    if (json_text(value)) return json_text(value);
    out[0] = 0;
    for (const struct json *i = json_first(value); i && used < cap; i = json_next(i)) {
        const char *text = json_text(i);
        if (!text) continue;
        used += (size_t)snprintf(out + used, cap - used, "%s%s", used ? between : "", text);
    }
    return out;
}

static const char *target_of(const struct json *root, char *out, size_t cap)
{
    static const char *const lists[] = {"targets", "answers"};
    const char *answer = text_at(root, "answer");
    const char *option = json_text(json_get(json_get(root, "options"), answer));
    for (int i = 0; i < 2; i++)
        if (json_get(root, lists[i])) return join(json_get(root, lists[i]), " | ", out, cap);
    if (!option) return answer;
    snprintf(out, cap, "%s. %s", answer, option);
    return out;
}

/* The text of an id: of itself, or of a number. */
static const char *id_of(const struct json *root, char out[40])
{
    const struct json *id = json_get(root, "id");
    if (json_text(id)) return json_text(id);
    if (isnan(json_number(id))) return NULL;
    snprintf(out, 40, "%.17g", json_number(id));
    return out;
}

/* ---- variants ---- */

static int same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || !(a < b || a > b || isnan(a) || isnan(b));
}

static int is_full_by_name(const char *name, const char *chunk)
{
    return !*name || strcmp(name, "off") == 0 || strcmp(name, "dense") == 0 ||
           (strcmp(name, "full") == 0 && !*chunk);
}

/* dataset: of lines that name none. */
static struct answer_variant variant_of(const struct json *root, const char *dataset)
{
    struct answer_variant w = {.dataset = text_at(root, "dataset"),
                               .metric = text_at(root, "metric"),
                               .name = renamed_text_at(root, "variant", "method"),
                               .chunk = text_at(root, "chunk"),
                               .ratio = json_number(json_get(root, "ratio"))};
    if (!*w.dataset) w.dataset = dataset;
    if (strcmp(w.chunk, "none") == 0) w.chunk = "";
    w.is_full_by_name = is_full_by_name(w.name, w.chunk);
    w.is_full_prefill = w.is_full_by_name || !*w.chunk;
    if (w.is_full_by_name) w.ratio = (double)NAN; /* nothing is chosen */
    return w;
}

/* Lines of times name no metric, and perhaps no data set. */
static int is_variant(const struct answer_variant *a, const struct answer_variant *b, int is_times)
{
    if (is_times && !*b->dataset ? 0 : strcmp(a->dataset, b->dataset) != 0) return 0;
    return (is_times || strcmp(a->metric, b->metric) == 0) && strcmp(a->chunk, b->chunk) == 0 &&
           strcmp(a->name, b->name) == 0 && same_number(a->ratio, b->ratio);
}

static vlqa_status find_variant(struct env *env, struct keeper *k, const struct json *root,
                                int *out)
{
    struct answer_set *set = k->set;
    struct answer_variant want = variant_of(root, k->dataset);
    for (*out = 0; *out < set->n_variants; ++*out)
        if (is_variant(&set->variant[*out], &want, 0)) return VLQA_OK;
    if (set->n_variants == ANSWER_MAX_VARIANTS)
        return env_fail(env, VLQA_ELIMIT, "more than %d data sets, variants, chunkings and ratios",
                        ANSWER_MAX_VARIANTS);
    want.dataset = keep(k, want.dataset);
    want.metric = keep(k, want.metric);
    want.name = keep(k, want.name);
    want.chunk = keep(k, want.chunk);
    set->variant[set->n_variants++] = want;
    return VLQA_OK;
}

/* ---- lines ---- */

/* Behind what other lines said, unless it is among that. */
static void read_fact(struct keeper *k, const char **fact, const char *text)
{
    char all[FACT_TEXT + 128];
    if (!*text || strstr(*fact, text)) return;
    if (!**fact) {
        *fact = keep_most(k, text, FACT_TEXT);
        return;
    }
    if (strlen(*fact) + strlen(text) >= FACT_TEXT) text = "and others";
    if (strstr(*fact, "and others")) return;
    snprintf(all, sizeof all, "%s\n%s", *fact, text);
    *fact = keep_most(k, all, sizeof all);
}

static const struct answer_facts no_facts = {"", "", "", "", "", "", "", "", "", ""};

/* "plain (by default)"; "3 rows, left out" */
static void read_conditions(struct keeper *k, const struct json *root)
{
    struct answer_facts *f = &k->set->facts;
    const char *prompt = text_at(root, "prompt"), *by = text_at(root, "prompt_by");
    double blind = json_number(json_get(root, "rows_without_image"));
    char text[200];
    snprintf(text, sizeof text, *by ? "%.120s (by %.20s)" : "%.120s", prompt, by);
    read_fact(k, &f->prompt, text);
    if (!(blind > 0 && blind < INT32_MAX)) return;
    snprintf(text, sizeof text, "%.0f row%s, %s", blind, blind > 1 ? "s" : "",
             strcmp(text_at(root, "without_image"), "ask") == 0 ? "asked without one" : "left out");
    read_fact(k, &f->blind, text);
}

static void read_facts(struct keeper *k, const struct json *root)
{
    struct answer_facts *f = &k->set->facts;
    char command[FACT_TEXT + 1];
    read_fact(k, &f->command, join(json_get(root, "command"), " ", command, sizeof command));
    read_fact(k, &f->commit, text_at(root, "commit"));
    read_fact(k, &f->version, text_at(root, "version"));
    read_fact(k, &f->build, text_at(root, "build"));
    read_fact(k, &f->machine, text_at(root, "machine"));
    read_fact(k, &f->cpu, text_at(root, "cpu"));
    read_fact(k, &f->model, text_at(root, "model"));
    read_fact(k, &f->digest, text_at(json_get(root, "digests"), "model"));
    read_fact(k, &f->digest, text_at(root, "model_digest"));
    if (run_file_is_header(root)) read_conditions(k, root);
}

/* What no count, time or divergence exceeds: means of it are finite. */
#define AMOUNT_MAX 1e18

static double amount_at(const struct json *object, const char *name)
{
    double value = json_number(json_get(object, name));
    return value >= 0 && value <= AMOUNT_MAX ? value : (double)NAN;
}

static void read_times(const struct json *root, double ms[ANSWER_TIMES])
{
    const struct json *times = json_get(root, "ms");
    for (int i = 0; i < ANSWER_TIMES; i++) {
        double value = amount_at(times, time_names[i]);
        if (!isnan(value)) ms[i] = value;
    }
}

static vlqa_status add_row(struct env *env, struct answer_set *set, const struct answer_row *row)
{
    if ((size_t)set->n == set->cap) {
        size_t cap = set->cap ? 2 * set->cap : 1024, bytes = cap * sizeof *row;
        void *grown =
            set->row ? heap_resize(set->row, set->cap * sizeof *row, bytes) : heap_alloc(bytes);
        if (!grown) return env_no_memory(env, "rows", bytes);
        set->row = grown;
        set->cap = cap;
    }
    set->row[set->n++] = *row;
    return VLQA_OK;
}

static void read_distances(const struct json *list, double out[ANSWER_DISTANCES])
{
    const struct json *at = json_kind(list) == JSON_ARRAY ? json_first(list) : NULL;
    for (int i = 0; i < ANSWER_DISTANCES; i++, at = at ? json_next(at) : NULL)
        out[i] = json_number(at);
}

static vlqa_status read_graded(struct env *env, struct keeper *k, const char *name,
                               const struct json *root, const char *id, struct answer_row *row)
{
    const struct json *score = json_get(root, "score");
    char target[ANSWER_TEXT + 16];
    if (json_kind(score) == JSON_NULL || !score) {
        k->set->ungraded++;
        return VLQA_OK;
    }
    row->score = json_number(score);
    if (!(row->score >= 0 && row->score <= 1))
        return env_fail(env, VLQA_EUSAGE, "%s: score is %s, expected a number from 0 to 1", name,
                        isnan(row->score) ? json_kind_name(score) : "beyond its range");
    row->key = checksum64(id, strlen(id));
    row->documents = group_of_line(root, id);
    row->id = keep(k, id);
    row->group[ANSWER_CATEGORY] = keep(k, text_at(root, "category"));
    row->group[ANSWER_SPLIT] = keep(k, text_at(root, "split"));
    row->question = keep(k, text_at(root, "question"));
    row->prediction = keep(k, text_at(root, "prediction"));
    row->error = keep(k, text_at(root, "error"));
    row->target = keep(k, target_of(root, target, sizeof target));
    row->total = amount_at(json_get_renamed(root, "prompt_tokens", "rows"), "total");
    row->recomputed = amount_at(json_get_renamed(root, "prompt_tokens", "rows"), "recomputed");
    row->flops = amount_at(root, "flops");
    row->kl = amount_at(root, "kl");
    row->kl_answer = amount_at(root, "kl_answer");
    read_distances(json_get(root, "kl_by_distance"), row->kl_at);
    for (int i = 0; i < ANSWER_TIMES; i++)
        row->ms[i] = (double)NAN;
    read_times(root, row->ms);
    TRY(find_variant(env, k, root, &row->variant));
    return add_row(env, k->set, row);
}

static vlqa_status read_object(struct env *env, struct keeper *k, const char *name,
                               const struct json *root, struct answer_row *row)
{
    char number[40];
    const char *id = id_of(root, number);
    read_facts(k, root);
    if (!id && !isnan(json_number(json_get(root, "score"))))
        return env_fail(env, VLQA_EUSAGE, "%s: id is %s, expected a text or a number", name,
                        json_kind_name(json_get(root, "id")));
    if (!id) k->dataset = keep(k, text_at(root, "dataset"));
    row->ordinal = k->ordinal;
    k->ordinal += id != NULL;
    if (id) TRY(read_graded(env, k, name, root, id, row));
    return k->failed ? env_no_memory(env, "texts", BLOCK) : VLQA_OK;
}

/* ---- times beside a run ---- */

struct times {
    struct answer_set *set;
    const char *path; /* of the run */
    int *row, n;      /* [n] of each line with an id: its index; -1: it has no score */
};

static vlqa_status index_rows(struct env *env, struct times *t)
{
    struct answer_set *set = t->set;
    size_t bytes;
    for (int i = 0; i < set->n; i++)
        if (set->row[i].path == t->path && set->row[i].ordinal >= t->n)
            t->n = set->row[i].ordinal + 1;
    bytes = (size_t)t->n * sizeof *t->row;
    t->row = heap_alloc(bytes);
    if (!t->row) return env_no_memory(env, "times", bytes);
    memset(t->row, 0xff, bytes);
    for (int i = 0; i < set->n; i++)
        if (set->row[i].path == t->path) t->row[set->row[i].ordinal] = i;
    return VLQA_OK;
}

/* By the place of the line in the run, "row", or by what it says of itself. */
static void add_times(const struct times *t, const struct json *root)
{
    struct answer_set *set = t->set;
    struct answer_variant want = variant_of(root, "");
    double place = json_number(json_get(root, "row"));
    char number[40];
    const char *id = id_of(root, number);
    uint64_t key = id ? checksum64(id, strlen(id)) : 0;
    if (place >= 0 && place < t->n && t->row[(int)place] >= 0)
        read_times(root, set->row[t->row[(int)place]].ms);
    for (int i = 0; id && i < set->n_variants; i++) {
        const struct answer_row *row =
            is_variant(&set->variant[i], &want, 1) ? answers_find(set, i, key) : NULL;
        if (row && row->path == t->path) read_times(root, set->row[row - set->row].ms);
    }
}

/* ---- files ---- */

/* Each line of a file as JSON: into rows, or as times of rows that are there. */
static vlqa_status read_lines(struct env *env, const char *path, struct answer_set *set,
                              const struct times *times)
{
    struct keeper k = {.set = set, .dataset = ""};
    struct lines lines;
    const char *line = NULL;
    size_t bytes;
    vlqa_status status;
    TRY(lines_open(env, path, &lines));
    while ((status = lines_next_full(env, &lines, &line, &bytes)) == VLQA_OK && line) {
        struct answer_row row = {.path = path, .line = lines.number};
        struct row parsed;
        char name[256];
        lines_name(&lines, name);
        status = row_parse(env, name, line, bytes, &parsed);
        if (status == VLQA_OK && times)
            add_times(times, json_root(parsed.doc));
        else if (status == VLQA_OK)
            status = read_object(env, &k, name, json_root(parsed.doc), &row);
        row_free(&parsed);
        if (status != VLQA_OK) break;
    }
    lines_close(&lines);
    return status;
}

vlqa_status answers_read(struct env *env, const char *path, struct answer_set *set)
{
    if (!set->facts.command) set->facts = no_facts;
    if (set->n_files == ANSWER_MAX_FILES)
        return env_fail(env, VLQA_ELIMIT, "more than %d run files", ANSWER_MAX_FILES);
    set->file[set->n_files++] = path;
    return read_lines(env, path, set, NULL);
}

static int by_variant(const void *a, const void *b)
{
    const struct answer_row *x = a, *y = b;
    if (x->variant != y->variant) return x->variant < y->variant ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

static vlqa_status read_times_of(struct env *env, struct answer_set *set, const char *run)
{
    struct times times = {.set = set, .path = run};
    char path[4200];
    int bytes = snprintf(path, sizeof path, "%s.times", run);
    vlqa_status status;
    if (bytes >= (int)sizeof path || !file_exists(path)) return VLQA_OK;
    status = index_rows(env, &times);
    if (status == VLQA_OK) status = read_lines(env, path, set, &times);
    heap_free(times.row);
    return status;
}

static int by_documents(const struct answer_row *x, const struct answer_row *y, int group)
{
    if (x->variant != y->variant) return x->variant < y->variant ? -1 : 1;
    if (x->documents != y->documents) return x->documents < y->documents ? -1 : 1;
    return strcmp(x->group[group], y->group[group]);
}

static int by_category(const void *a, const void *b)
{
    return by_documents(*(struct answer_row *const *)a, *(struct answer_row *const *)b,
                        ANSWER_CATEGORY);
}

static int by_split(const void *a, const void *b)
{
    return by_documents(*(struct answer_row *const *)a, *(struct answer_row *const *)b,
                        ANSWER_SPLIT);
}

/* Marks a row for each set of documents in each category and split. */
static vlqa_status mark_documents(struct env *env, struct answer_set *set)
{
    size_t bytes = (size_t)set->n * sizeof(struct answer_row *);
    struct answer_row **row = heap_alloc(bytes);
    if (!row) return env_no_memory(env, "rows", bytes);
    for (int g = 0; g < ANSWER_GROUPS; g++) {
        for (int i = 0; i < set->n; i++)
            row[i] = &set->row[i];
        if (set->n > 1)
            qsort(row, (size_t)set->n, sizeof *row, g == ANSWER_SPLIT ? by_split : by_category);
        for (int i = 0; i < set->n; i++)
            row[i]->is_first[g] = i == 0 || by_documents(row[i - 1], row[i], g) != 0;
    }
    heap_free(row);
    return VLQA_OK;
}

vlqa_status answers_close(struct env *env, struct answer_set *set)
{
    if (!set->facts.command) set->facts = no_facts;
    if (set->n > 1) qsort(set->row, (size_t)set->n, sizeof *set->row, by_variant);
    for (int i = 1; i < set->n; i++) {
        const struct answer_row *a = &set->row[i - 1], *b = &set->row[i];
        if (a->variant == b->variant && a->key == b->key)
            return env_fail(env, VLQA_EUSAGE,
                            "%.150s, line %d: its id was in %.150s, line %d, with the same variant",
                            b->path, b->line, a->path, a->line);
    }
    for (int i = 0; i < set->n_files; i++)
        TRY(read_times_of(env, set, set->file[i]));
    return mark_documents(env, set);
}

void answers_free(struct answer_set *set)
{
    for (struct answer_texts *next; set->texts; set->texts = next) {
        next = set->texts->next;
        heap_free(set->texts);
    }
    heap_free(set->row);
    set->row = NULL;
    set->n = 0;
}

/* ---- looking up ---- */

static int lower_bound(const struct answer_set *set, int variant, uint64_t key)
{
    int low = 0, high = set->n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct answer_row *row = &set->row[middle];
        if (row->variant < variant || (row->variant == variant && row->key < key))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int answers_of(const struct answer_set *set, int variant, int *begin)
{
    *begin = lower_bound(set, variant, 0);
    return lower_bound(set, variant + 1, 0);
}

const struct answer_row *answers_find(const struct answer_set *set, int variant, uint64_t key)
{
    int at = lower_bound(set, variant, key);
    return at < set->n && set->row[at].variant == variant && set->row[at].key == key ? &set->row[at]
                                                                                     : NULL;
}
