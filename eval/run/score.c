/* score.c - rows in, rows with scores out. */
#include "eval/run/score.h"

#include "base/heap.h"
#include "eval/run/run_file.h"
#include "eval/run/tally.h"

#include <math.h>
#include <string.h>

struct scorer {
    struct env *env;
    int metric, insist;
    struct row_room room;
    struct tally *tally[N_METRICS]; /* NULL: no row of it yet */
    int64_t graded, changed;        /* rows that had a score; one that was another */
};

static vlqa_status count(struct scorer *s, int metric, const struct row *row,
                         const struct metric_grade *grade)
{
    double before = json_number(json_get(json_root(row->doc), "score"));
    if (!isnan(before)) {
        s->graded++;
        s->changed += fabs(before - grade->score) > 1e-9;
    }
    if (!s->tally[metric]) {
        s->tally[metric] = heap_alloc_zero(sizeof *s->tally[metric]);
        if (!s->tally[metric]) return env_no_memory(s->env, "tally", sizeof *s->tally[metric]);
        s->tally[metric]->metric = (enum metric)metric;
    }
    return tally_add(s->env, s->tally[metric], row, grade);
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
    status = count(s, metric, row, &grade);
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
    for (int i = 0; i < N_METRICS; i++) {
        struct report r;
        char *line;
        if (!s->tally[i]) continue;
        r = report_begin();
        tally_report(s->tally[i], &r);
        line = report_end(&r);
        if (!line) return cli_fail(cli, VLQA_EMEMORY, "out of memory: the report");
        fprintf(stderr, "%s\n", line);
        heap_free(line);
    }
    if (s->graded && !cli->args->quiet)
        cli_note(cli, "%lld of %lld rows that had a score have another now", (long long)s->changed,
                 (long long)s->graded);
    return CLI_OK;
}

int score_rows(struct cli *cli, const char *path, int metric, int insist)
{
    struct scorer s = {.env = &cli->env, .metric = metric, .insist = insist};
    struct lines lines;
    vlqa_status status = lines_open(&cli->env, path, &lines);
    int code;
    if (status == VLQA_OK) {
        status = score_lines(&s, &lines);
        lines_close(&lines);
    }
    code = cli_flush();
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    if (code == CLI_OK) code = report(cli, &s);
    for (int i = 0; i < N_METRICS; i++)
        heap_free(s.tally[i]);
    row_room_free(&s.room);
    return code;
}
