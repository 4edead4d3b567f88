/* eval_report.c - run files in, one page or one table out. */
#include "eval/report/eval_report.h"

#include "base/file.h"
#include "base/heap.h"
#include "eval/report/curve.h"
#include "eval/report/report_parts.h"

#include <stdio.h>
#include <string.h>

/* A file without graded answers is a data set, or a run that was stopped at once. */
static vlqa_status read_runs(struct cli *cli, struct eval_report *r, const char *option,
                             const char *const *run, int n)
{
    struct env *env = &cli->env;
    for (int i = 0; i < n; i++) {
        int before = r->set.n;
        TRY(answers_read(env, run[i], &r->set));
        if (r->set.n > before) continue;
        return env_fail(env, VLQA_EUSAGE,
                        "%.150s has no graded answers; ask it first: vlqa eval %.150s --out "
                        "run.jsonl, then give run.jsonl to --%s",
                        run[i], run[i], option);
    }
    TRY(answers_close(env, &r->set));
    return answers_sum(env, &r->set, r->sum);
}

/* ---- the top of the page ---- */

static void data_facts(struct eval_report *r)
{
    for (int i = 0; i < r->set.n_variants; i++) {
        const struct answer_variant *w = &r->set.variant[i];
        char text[200], questions[STATS_QUESTIONS];
        int most = 0, documents = 0;
        if (!report_is_first(&r->set, i)) continue;
        for (int k = i; k < r->set.n_variants; k++)
            if (answers_same_data(&r->set.variant[k], w) && r->sum[k].n > most) {
                most = r->sum[k].n;
                documents = r->sum[k].documents;
            }
        snprintf(text, sizeof text, "%.60s: %s%s%.60s", report_data(w),
                 stats_questions(most, documents, questions), *w->metric ? ", graded as " : "",
                 w->metric);
        page_fact(&r->page, i ? "" : "data", text);
    }
}

/* What a published number needs, told also where it is missing. */
static void needed_fact(struct page *p, const char *name, const char *value)
{
    page_fact(p, name, *value ? value : "not recorded");
}

static void facts(struct eval_report *r, const char *const *run, int n)
{
    const struct answer_facts *f = &r->set.facts;
    struct page *p = &r->page;
    char text[96];
    page_facts_begin(p);
    data_facts(r);
    if (*f->prompt) page_fact(p, "prompt", f->prompt);
    if (*f->blind) page_fact(p, "without image", f->blind);
    needed_fact(p, "command", f->command);
    needed_fact(p, "commit", f->commit);
    page_fact(p, "version", f->version);
    page_fact(p, "build", f->build);
    page_fact(p, "model", f->model);
    needed_fact(p, "model digest", f->digest);
    needed_fact(p, "machine", f->machine);
    page_fact(p, "instructions", f->cpu);
    for (int i = 0; i < n; i++)
        page_fact(p, i ? "" : "from", run[i]);
    snprintf(text, sizeof text, "vlqa %.60s", vlqa_version());
    page_fact(p, "report by", text);
    page_facts_end(p);
    if (!r->set.ungraded) return;
    snprintf(text, sizeof text, "Left out: %d answers without a score.", r->set.ungraded);
    page_paragraph(p, text);
}

static void title(const struct eval_report *r, char out[256])
{
    size_t used = (size_t)snprintf(out, 256, "Evaluation");
    const char *between = ": ";
    for (int i = 0; i < r->set.n_variants && used < 180; i++)
        if (report_is_first(&r->set, i)) {
            used += (size_t)snprintf(out + used, 256 - used, "%s%.60s", between,
                                     report_data(&r->set.variant[i]));
            between = ", ";
        }
}

static void fill(struct eval_report *r, const char *const *run, int n)
{
    char text[256];
    title(r, text);
    page_begin(&r->page, text);
    facts(r, run, n);
    report_scores(r);
    report_work(r);
    report_categories(r);
    report_times(r);
    report_losses(r);
    page_end(&r->page);
}

/* ---- both verbs ---- */

static struct eval_report *open_report(struct cli *cli)
{
    struct eval_report *r = heap_alloc_zero(sizeof *r);
    if (r) r->thumbnails.cli = cli;
    return r;
}

static void close_report(struct eval_report *r)
{
    thumbnails_close(&r->thumbnails);
    page_free(&r->page);
    answers_free(&r->set);
    heap_free(r);
}

static int no_memory(struct cli *cli)
{
    return cli_fail(cli, env_no_memory(&cli->env, "report", sizeof(struct eval_report)),
                    cli->env.message);
}

static int form_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && (strcmp(dot, ".html") == 0 || strcmp(dot, ".htm") == 0)) return PAGE_HTML;
    return dot && strcmp(dot, ".md") == 0 ? PAGE_MARKDOWN : -1;
}

int eval_report(struct cli *cli, const char *to, const char *const *run, int n)
{
    int form = form_of(to), code = CLI_OK;
    struct eval_report *r;
    struct file_part part;
    vlqa_status status;
    if (form < 0)
        return cli_fail(cli, VLQA_EUSAGE, "--report writes a file that ends with .html or .md");
    r = open_report(cli);
    if (!r) return no_memory(cli);
    r->page.form = (enum page_form)form;
    status = read_runs(cli, r, "report", run, n);
    if (status == VLQA_OK) {
        fill(r, run, n);
        part = (struct file_part){r->page.data, r->page.used};
        status = r->page.failed ? env_no_memory(&cli->env, "report", r->page.used)
                                : file_write_atomic(&cli->env, to, &part, 1);
    }
    if (status != VLQA_OK) code = cli_fail(cli, status, cli->env.message);
    close_report(r);
    return code;
}

int eval_curve(struct cli *cli, const char *const *run, int n)
{
    struct eval_report *r = open_report(cli);
    vlqa_status status;
    int code;
    if (!r) return no_memory(cli);
    status = read_runs(cli, r, "curve", run, n);
    code = status == VLQA_OK ? curve_print(cli, r) : cli_fail(cli, status, cli->env.message);
    close_report(r);
    return code;
}
