/* export.c - a run file read twice: what is in it, then its rows. */
#include "eval/report/export.h"

#include "base/arena.h"
#include "base/heap.h"
#include "eval/data/lines.h"
#include "eval/data/pylist.h"
#include "eval/grade/thoughts.h"
#include "eval/run/row.h"
#include "eval/run/run_file.h"
#include "eval/run/variants.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *const groups[] = {"category", "split", "cycle_category"};
enum { GROUPS = sizeof groups / sizeof *groups };

struct export
{
    int keep_thoughts;
    struct env *env;
    const char *path;
    FILE *to; /* NULL: only looks what there is */
    struct variants variants;
    struct variants_pick pick;
    unsigned letters;          /* bit i: some row has the option 'A' + i */
    unsigned char has[GROUPS]; /* some row has it */
    char *room;                /* for pylist_read */
    size_t cap;
};

/* ---- cells ---- */

static void put_bytes(FILE *to, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"') putc('"', to);
        putc(text[i], to);
    }
}

static void put_cell(FILE *to, const char *text, int is_last)
{
    putc('"', to);
    put_bytes(to, text, strlen(text));
    fputs(is_last ? "\"\n" : "\"\t", to);
}

/* A text or a number as a text; NULL: neither. */
static const char *value_text(const struct json *value, char number[40])
{
    if (json_text(value)) return json_text(value);
    if (isnan(json_number(value))) return NULL;
    snprintf(number, 40, "%.17g", json_number(value));
    return number;
}

static void put_member(const struct export *e, const struct json *object, const char *name)
{
    char number[40];
    const char *text = value_text(json_get(object, name), number);
    put_cell(e->to, text ? text : "", 0);
}

/* A string literal of Python. */
static void put_literal(FILE *to, const char *text)
{
    putc('\'', to);
    for (; *text; text++)
        if (*text == '\'' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\x%02x", (unsigned)*text);
        else
            put_bytes(to, text, 1);
    putc('\'', to);
}

static vlqa_status is_list(struct export *e, const char *text, int *out)
{
    size_t bytes = strlen(text), need = 16 * bytes + 512;
    struct text *items;
    struct arena arena;
    int n;
    if (need > e->cap) {
        heap_free(e->room);
        e->room = heap_alloc(need);
        e->cap = e->room ? need : 0;
        if (!e->room) return env_no_memory(e->env, "answer", need);
    }
    arena = arena_over(e->room, e->cap);
    *out = pylist_read((struct text){text, bytes}, &arena, &items, &n);
    return VLQA_OK;
}

/* What row_read reads as the same answers again. */
static vlqa_status put_answer(struct export *e, const char *name, const struct json *root)
{
    const struct json *list = json_get(root, "targets");
    const char *one;
    int listed = 0;
    if (!list) list = json_get(root, "answers");
    if (!list) {
        put_member(e, root, "answer");
        return VLQA_OK;
    }
    one = json_text(json_kind(list) != JSON_ARRAY ? list
                    : json_count(list) == 1       ? json_first(list)
                                                  : NULL);
    if (one) TRY(is_list(e, one, &listed));
    if (one && !listed) {
        put_cell(e->to, one, 0);
        return VLQA_OK;
    }
    fputs("\"[", e->to);
    for (const struct json *i = one ? NULL : json_first(list); i; i = json_next(i)) {
        if (!json_text(i))
            return env_fail(e->env, VLQA_EUSAGE, "%s: answers hold %s, expected texts", name,
                            json_kind_name(i));
        if (i != json_first(list)) fputs(", ", e->to);
        put_literal(e->to, json_text(i));
    }
    if (one) put_literal(e->to, one);
    fputs("]\"\t", e->to);
    return VLQA_OK;
}

/* ---- rows ---- */

/* Which columns there are: of a row's options, those with a letter. */
static vlqa_status look(struct export *e, const char *name, const struct json *root)
{
    const struct json *options = json_get(root, "options");
    if (options && json_kind(options) != JSON_OBJECT && json_kind(options) != JSON_NULL)
        return env_fail(e->env, VLQA_EUSAGE, "%s: options is %s, expected an object", name,
                        json_kind_name(options));
    for (const struct json *i = json_first(options); i; i = json_next(i))
        if (json_name(i)[0] >= 'A' && json_name(i)[0] <= 'Z' && !json_name(i)[1])
            e->letters |= 1u << (json_name(i)[0] - 'A');
    for (int i = 0; i < GROUPS; i++)
        e->has[i] |= json_get(root, groups[i]) != NULL;
    return VLQA_OK;
}

static vlqa_status put_row(struct export *e, const char *name, const struct json *root)
{
    const char *prediction = json_text(json_get(root, "prediction"));
    char *answer;
    if (!prediction && json_get(root, "error")) prediction = "";
    if (!prediction)
        return env_fail(e->env, VLQA_EUSAGE, "%s: prediction is %s, expected a text", name,
                        json_kind_name(json_get(root, "prediction")));
    put_member(e, root, "id");
    put_member(e, root, "question");
    TRY(put_answer(e, name, root));
    for (int i = 0; i < 26; i++) {
        char letter[2] = {(char)('A' + i), 0};
        if (e->letters >> i & 1) put_member(e, json_get(root, "options"), letter);
    }
    for (int i = 0; i < GROUPS; i++)
        if (e->has[i]) put_member(e, root, groups[i]);
    answer = e->keep_thoughts ? NULL : thoughts_answer(prediction);
    if (!answer && !e->keep_thoughts) return env_no_memory(e->env, "prediction", 0);
    put_cell(e->to, answer ? answer : prediction, 1);
    heap_free(answer);
    return VLQA_OK;
}

static void put_header(const struct export *e)
{
    fputs("\"index\"\t\"question\"\t\"answer\"\t", e->to);
    for (int i = 0; i < 26; i++)
        if (e->letters >> i & 1) fprintf(e->to, "\"%c\"\t", 'A' + i);
    for (int i = 0; i < GROUPS; i++)
        if (e->has[i]) fprintf(e->to, "\"%s\"\t", groups[i]);
    fputs("\"prediction\"\n", e->to);
}

static vlqa_status read_row(struct export *e, const char *name, const struct json *root)
{
    int variant;
    if (run_file_is_header(root)) return VLQA_OK;
    TRY(variants_find(e->env, name, root, &e->variants, &variant));
    if (!e->to) return look(e, name, root);
    return e->pick.has[variant] ? put_row(e, name, root) : VLQA_OK;
}

static vlqa_status read_rows(struct export *e)
{
    struct lines lines;
    const char *line = NULL;
    size_t bytes;
    vlqa_status status;
    TRY(lines_open(e->env, e->path, &lines));
    while ((status = lines_next_full(e->env, &lines, &line, &bytes)) == VLQA_OK && line) {
        struct row row;
        char name[256];
        lines_name(&lines, name);
        status = row_parse(e->env, name, line, bytes, &row);
        if (status == VLQA_OK) status = read_row(e, name, json_root(row.doc));
        row_free(&row);
        if (status == VLQA_OK && cli_interrupted()) status = VLQA_ECANCELLED;
        if (status != VLQA_OK) break;
    }
    lines_close(&lines);
    return status;
}

/* ---- the whole ---- */

static vlqa_status choose(struct export *e, const char *variant)
{
    TRY(read_rows(e));
    TRY(variants_add(e->env, &e->pick, variant));
    if (e->pick.n == 1) return VLQA_OK;
    return variants_fail(e->env, &e->pick, "name one variant and chunking by --variants");
}

static vlqa_status write_rows(struct export *e, const char *to)
{
    vlqa_status status;
    int lost;
    e->to = fopen(to, "w");
    if (!e->to) return env_fail(e->env, VLQA_EIO, "%s: %s", to, strerror(errno));
    put_header(e);
    status = read_rows(e);
    lost = ferror(e->to) | fclose(e->to);
    if (status == VLQA_OK && lost)
        status = env_fail(e->env, VLQA_EIO, "%s: not written: %s", to, strerror(errno));
    if (status != VLQA_OK) (void)remove(to);
    return status;
}

int export_vlmevalkit(struct cli *cli, const char *run, const char *to, const char *variant,
                      int keep_thoughts)
{
    const char *dot = strrchr(to, '.');
    struct export *e;
    vlqa_status status;
    int code = CLI_OK;
    if (!dot || strcmp(dot, ".tsv") != 0)
        return cli_fail(cli, VLQA_EUSAGE, "--export-vlmevalkit writes a file that ends with .tsv");
    if (strcmp(run, "-") == 0)
        return cli_fail(cli, VLQA_EUSAGE, "--export-vlmevalkit reads a file twice: it takes no -");
    e = heap_alloc_zero(sizeof *e);
    if (!e) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the export");
    e->env = &cli->env;
    e->keep_thoughts = keep_thoughts;
    e->path = e->pick.path = run;
    e->pick.of = &e->variants;
    status = choose(e, variant);
    if (status == VLQA_OK) status = write_rows(e, to);
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    heap_free(e->room);
    heap_free(e);
    return code;
}
