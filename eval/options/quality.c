/* quality.c - a promise to a margin, and what came of it. */
#include "eval/options/quality.h"

#include "base/file.h"
#include "base/heap.h"
#include "eval/cli/report.h"
#include "eval/options/calibration.h"

#include <string.h>

/* ---- what it goes with ---- */

static int refuse(struct cli *cli, const char *name, const char *why)
{
    (void)env_fail(&cli->env, VLQA_EUSAGE, "--quality and --%s exclude each other: %s", name, why);
    return cli_fail(cli, VLQA_EUSAGE, cli->env.message);
}

static int is_given(const struct cli *cli, const char *name)
{
    return args_is_given(cli->verb, cli->argc, cli->argv, name);
}

int quality_check(struct cli *cli, const struct reuse_args *reuse,
                  const struct sampling_args *sampling)
{
    static const char *const decided[] = {
        "recompute-ratio", "adaptive",     "budget-base", "taper",   "token-score", "query-tokens",
        "probe-layers",    "check-layers", "closing",     "refresh", "geometry",    NULL};
    static const char *const others[] = {"order", "reorder", "parity", "kv-budget", NULL};
    static const char *const drawn[] = {"temp", "logit-bias", "repetition-penalty",
                                        "presence-penalty", NULL};
    if (!(reuse->quality.asked > 0)) return CLI_OK;
    if (reuse->variant != REUSE_AUTO)
        return refuse(cli, "reuse", "it is a promise of --reuse auto");
    for (int i = 0; decided[i]; i++)
        if (is_given(cli, decided[i]))
            return refuse(cli, decided[i], "what is recomputed follows from the calibration");
    for (int i = 0; others[i]; i++)
        if (is_given(cli, others[i]))
            return refuse(cli, others[i], "it leads away from full prefill");
    if (is_given(cli, "stand-in"))
        return refuse(cli, "stand-in", "chunks that had seen nothing before them were calibrated");
    for (int i = 0; sampling && drawn[i]; i++)
        if (is_given(cli, drawn[i])) return refuse(cli, drawn[i], "greedy answers were calibrated");
    return CLI_OK;
}

/* ---- the margin ---- */

static void be_full_prefill(struct reuse_args *args, const char *why)
{
    args->variant = REUSE_OFF;
    args->quality.why = why;
}

/* The user's own in the cache directory, else the model's. */
static vlqa_status find_file(struct cli *cli, const struct cache_args *cache, const char *digest,
                             char path[CACHE_PATH])
{
    char kept[CACHE_PATH] = "", model[CACHE_PATH] = "";
    const char *dir = cli->args->model ? cli->args->model : model;
    if (calibration_path(&cli->env, cache, "quality", digest, kept) == VLQA_OK &&
        file_exists(kept)) {
        memcpy(path, kept, CACHE_PATH);
        return VLQA_OK;
    }
    if (!cli->args->model) (void)vlqa_default_model_path(model, sizeof model);
    if (snprintf(path, CACHE_PATH, "%s/quality.json", dir) < CACHE_PATH && file_exists(path))
        return VLQA_OK;
    return env_fail(&cli->env, VLQA_EUSAGE,
                    "--quality is not calibrated for this model: neither %.1000s nor %.1000s is "
                    "there; make it with vlqa study QUESTIONS --calibrate-quality",
                    *kept ? kept : "a cache directory", path);
}

static vlqa_status apply_file(struct cli *cli, const struct quality_file *file, const char *path,
                              struct reuse_args *args)
{
    struct quality_choice c;
    char its[16], asked[16];
    if (file->halo != args->halo) {
        reuse_write_halo(file->halo, its, sizeof its);
        reuse_write_halo(args->halo, asked, sizeof asked);
        return env_fail(&cli->env, VLQA_EIO,
                        "%s: halo is %s, and --halo %s: give --halo %s, or make another with vlqa "
                        "study QUESTIONS --calibrate-quality --variants infoflow/last/max/halo:%s",
                        path, its, asked, its, asked);
    }
    if (!quality_choose(&file->table, args->quality.asked, &c)) {
        be_full_prefill(args, "no margin of the calibration keeps this for less than full prefill "
                              "takes");
        return VLQA_OK;
    }
    args->ratio = c.ratio;
    args->quality.margin = c.margin;
    args->quality.lower = c.lower;
    args->quality.answers = c.answers;
    args->quality.failures = c.failures;
    args->quality.why = "the least work of the margins that keep this";
    return VLQA_OK;
}

vlqa_status quality_apply(struct cli *cli, const struct cache_args *cache,
                          const struct vlqa_engine *engine, struct reuse_args *args)
{
    struct vlqa_model_info model;
    struct quality_file *file;
    char path[CACHE_PATH];
    vlqa_status status;
    if (!(args->quality.asked > 0)) return VLQA_OK;
    if (args->quality.asked >= 1 || cache->off) {
        be_full_prefill(args, cache->off ? "without a cache answers are exact" : "1 is exact");
        return VLQA_OK;
    }
    TRY(vlqa_engine_info(engine, &model, sizeof model));
    TRY(find_file(cli, cache, model.digest, path));
    file = heap_alloc(sizeof *file);
    if (!file) return env_no_memory(&cli->env, "calibration", sizeof *file);
    status = quality_read(&cli->env, path, &model, file);
    if (status == VLQA_OK) status = apply_file(cli, file, path, args);
    heap_free(file);
    return status;
}

/* ---- what came of it ---- */

/* The answer began over chunks, and a token of it was in doubt. */
static int was_in_doubt(const struct vlqa_answer *answer)
{
    for (int i = 0; answer->token_selected && i < answer->tokens_total; i++)
        if (answer->token_selected[i] == 2) return 1;
    return 0;
}

void quality_report(struct report *r, const struct reuse_args *args,
                    const struct vlqa_answer *answer)
{
    const struct reuse_quality *q = &args->quality;
    if (!(q->asked > 0)) return;
    report_open(r, "quality");
    report_number(r, "asked", q->asked);
    report_string(r, "why", q->why);
    if (args->variant != REUSE_OFF) {
        report_number(r, "promised", q->lower);
        report_int(r, "answers", q->answers);
        report_int(r, "failures", q->failures);
        report_number(r, "ratio", args->ratio);
        report_number(r, "margin", q->margin);
        report_int(r, "in_doubt", was_in_doubt(answer));
    }
    report_number(r, "flops", answer->flops);
    report_close(r);
}

void quality_explain(struct cli *cli, const struct reuse_args *args,
                     const struct vlqa_answer *answer)
{
    const struct reuse_quality *q = &args->quality;
    int computed = answer->tokens_recomputed, all = answer->tokens_total;
    if (!(q->asked > 0)) return;
    if (args->variant == REUSE_OFF) {
        cli_note(cli, "quality %g: full prefill: %s", q->asked, q->why);
        return;
    }
    cli_note(cli,
             "quality %g: margin %.4g at ratio %g: %s; %d of %d calibrated answers differ, "
             "which promises %.4f",
             q->asked, q->margin, args->ratio, q->why, q->failures, q->answers, q->lower);
    cli_note(cli, "quality %g: %s: %d tokens computed, full prefill %d", q->asked,
             was_in_doubt(answer) ? "a token was in doubt, and all went on exactly"
             : answer->exact      ? "exact as it is"
                                  : "no token was in doubt",
             computed, all);
}
