/* score.c - rows in, rows with scores out. */
#include "eval/run/score.h"

#include "base/heap.h"
#include "eval/run/run_file.h"
#include "eval/run/tally.h"
#include "eval/run/variants.h"

#include <math.h>
#include <string.h>

struct scorer {
    struct env *env;
    int metric, insist;
    struct row_room room;
    struct variants variants;
    struct tally *tally[VARIANTS_MAX][N_METRICS]; /* NULL: no row of it yet */
    int64_t graded, changed;                      /* rows that had a score; one that was another */
};

static vlqa_status count(struct scorer *s, const char *name, int metric, const struct row *row,
                         const struct metric_grade *grade)
{
    struct tally **tally;
    int variant;
    double before = json_number(json_get(json_root(row->doc), "score"));
    if (!isnan(before)) {
        s->graded++;
        s->changed += fabs(before - grade->score) > 1e-9;
    }
    TRY(variants_find(s->env, name, json_root(row->doc), &s->variants, &variant));
    tally = &s->tally[variant][metric];
    if (!*tally) {
        *tally = heap_alloc_zero(sizeof **tally);
        if (!*tally) return env_no_memory(s->env, "tally", sizeof **tally);
        (*tally)->metric = (enum metric)metric;
    }
    return tally_add(s->env, *tally, row, grade);
}

static vlqa_status score_parsed(struct scorer *s, const char *name, const char *line, size_t bytes,
                                struct row *row)
{
    struct metric_grade grade;
    char reason[sizeof s->env->message];
    int metric = s->metric;
    vlqa_status status;
    if (!s->insist) TRY(row_metric(s->env, name, row, s->metric, &metric));
    TRY(row_grade(s->env, name, (enum metric)metric, bytes, &s->room, row, &grade));
    status = count(s, name, metric, row, &grade);
    if (status != VLQA_OK) {
        memcpy(reason, s->env->message, sizeof reason);
        return env_fail(s->env, status, "%s: %s", name, reason);
    }
    row_write(stdout, line, bytes, (enum metric)metric, &grade);
    return VLQA_OK;
}

static vlqa_status score_line(struct scorer *s, const char *name, const char *line, size_t bytes)
{
    struct row row;
    vlqa_status status = row_parse(s->env, name, line, bytes, &row);
    if (status == VLQA_OK && run_file_is_header(json_root(row.doc)))
        printf("%.*s\n", (int)bytes, line);
    else if (status == VLQA_OK)
        status = score_parsed(s, name, line, bytes, &row);
    row_free(&row);
    return status;
}

static vlqa_status score_lines(struct scorer *s, struct lines *lines)
{
    const char *line;
    size_t bytes;
    char name[256];
    for (;;) {
        TRY(lines_next_full(s->env, lines, &line, &bytes));
        if (!line) return VLQA_OK;
        if (cli_interrupted()) return VLQA_ECANCELLED;
        lines_name(lines, name);
        TRY(score_line(s, name, line, bytes));
        if (ferror(stdout)) return VLQA_OK; /* cli_flush says why */
    }
}

static int report(struct cli *cli, const struct scorer *s)
{
    for (int variant = 0; variant < s->variants.n; variant++)
        for (int i = 0; i < N_METRICS; i++) {
            struct report r = report_begin();
            char *line;
            if (*s->variants.variant[variant].name)
                report_string(&r, "variant", s->variants.variant[variant].name);
            if (s->tally[variant][i]) tally_report(s->tally[variant][i], &r);
            line = report_end(&r);
            if (!line) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the report");
            if (s->tally[variant][i]) fprintf(stderr, "%s\n", line);
            heap_free(line);
        }
    if (s->graded && !cli->args->quiet)
        cli_note(cli, "%lld of %lld rows that had a score have another now", (long long)s->changed,
                 (long long)s->graded);
    return CLI_OK;
}

static void free_scorer(struct scorer *s)
{
    for (int variant = 0; variant < s->variants.n; variant++)
        for (int i = 0; i < N_METRICS; i++)
            heap_free(s->tally[variant][i]);
    row_room_free(&s->room);
    heap_free(s);
}

int score_rows(struct cli *cli, const char *path, int metric, int insist, int keep_thoughts)
{
    struct scorer *s = heap_alloc_zero(sizeof *s);
    struct lines lines;
    vlqa_status status;
    int code;
    if (!s) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the grades");
    s->env = &cli->env;
    s->metric = metric;
    s->insist = insist;
    s->room.keep_thoughts = keep_thoughts;
    status = lines_open(&cli->env, path, &lines);
    if (status == VLQA_OK) {
        status = score_lines(s, &lines);
        lines_close(&lines);
    }
    code = cli_flush();
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    if (code == CLI_OK) code = report(cli, s);
    free_scorer(s);
    return code;
}
