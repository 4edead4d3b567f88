/* run_header.c - what decides about the answers of a run, by name, then where they come from. */
#include "eval/cli/report.h"
#include "eval/run/origin.h"
#include "eval/run/run.h"

#include <inttypes.h>
#include <string.h>

static void report_model(struct report *r, const struct run *run)
{
    report_string(r, "model", run->info.name);
    report_string(r, "model_digest", run->info.digest);
    report_string(r, "dtype", run->info.dtype);
    report_string(r, "weights", run->info.weights);
    if (run->cli->args->head_weights)
        report_string(r, "head_weights", cli_head_weights[run->cli->args->head_weights]);
    report_string(r, "kv_dtype", run->info.kv_dtype);
    report_string(r, "chunk_dtype", run->info.chunk_dtype);
    report_string(r, "cpu", run->info.cpu);
}

static void report_data(struct report *r, const struct run *run, struct key dataset)
{
    const char *slash = strrchr(run->args->dataset, '/');
    char hex[65];
    key_hex(dataset, hex);
    report_string(r, "dataset", slash && slash[1] ? slash + 1 : run->args->dataset);
    report_string(r, "prompt", run->prompt);
    if (run->blind) report_int(r, "rows_without_image", run->blind);
    if (run->blind) report_string(r, "without_image", run_blinds[run->args->data.keep_blind]);
    report_int(r, "questions", run->n_questions);
    report_string(r, "dataset_digest", hex); /* behind what it follows from */
}

static void report_image_options(struct report *r, const struct document_args *d)
{
    report_string(r, "system", d->system ? d->system : "");
    if (d->stand_in) report_string(r, "stand_in", d->stand_in);
    report_int(r, "image_min_tokens", d->image_min_tokens);
    report_int(r, "image_max_tokens", d->image_max_tokens);
    report_string(r, "image_mode", document_image_modes[d->image_mode]);
    report_string(r, "resize", document_resizes[d->resize]);
}

static void report_layers(struct report *r, const char *name, const struct reuse_layers *layers)
{
    char text[40];
    snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, layers->set[1], layers->set[0]);
    report_string(r, name, text);
}

/* What the names of the variants leave open. */
static void report_reuse(struct report *r, const struct reuse_args *a)
{
    char halo[16];
    report_number(r, "recompute_ratio", a->ratio);
    report_string(r, "budget_base", reuse_bases[a->base]);
    report_number(r, "adaptive", a->adaptive);
    if (a->quality.asked > 0) report_number(r, "quality", a->quality.asked);
    report_number(r, "taper", a->taper);
    reuse_write_halo(a->halo, halo, sizeof halo);
    report_string(r, "halo", halo);
    report_int(r, "chunk_text", a->text.tokens);
    report_int(r, "chunk_text_passages", a->text.kind == VLQA_TEXT_PASSAGE);
    report_string(r, "order", reuse_orders[a->order]);
    report_string(r, "geometry", reuse_geometries[a->geometry]);
    report_string(r, "reorder", reuse_reorders[a->reorder]);
    report_string(r, "token_score", reuse_scores[a->score]);
    report_layers(r, "probe_layers", &a->layers);
    report_int(r, "query_tokens", a->query.tokens);
    report_int(r, "query_draft", a->query.draft);
    report_int(r, "closing", a->closing);
    report_layers(r, "check_layers", &a->check);
    report_int(r, "refresh_every", a->refresh.every);
    report_int(r, "refresh_tokens", a->refresh.tokens);
}

char *run_header(const struct run *run, struct key dataset)
{
    const struct run_args *a = run->args;
    struct report r = report_begin();
    char seed[24];
    report_int(&r, RUN_FILE_MARK, 1);
    report_string(&r, "version", vlqa_version());
    report_model(&r, run);
    report_data(&r, run, dataset);
    report_string(&r, "variants", a->variants ? a->variants : reuse_variant(&a->reuse));
    report_string(&r, "chunk", a->chunks);
    report_int(&r, "max_tokens", a->max_tokens);
    if (a->ignore_eos) report_int(&r, "ignore_eos", 1);
    if (a->ratios) report_string(&r, "ratios", a->ratios);
    if (a->thoughts) report_string(&r, "thoughts", row_thoughts[a->thoughts]);
    if (a->calibrate) report_int(&r, "calibrate", 1);
    if (a->kl != RUN_KL_FIRST) report_string(&r, "kl", run_kls[a->kl]);
    snprintf(seed, sizeof seed, "%" PRIu64, a->seed);
    report_string(&r, "seed", seed);
    report_int(&r, "no_cache", a->cache.off); /* --reuse auto is off then */
    report_image_options(&r, &a->document);
    report_reuse(&r, &a->reuse);
    report_string(&r, "calibrated_layers", run->calibrated);
    report_string(&r, "prompt_by", a->prompt_by);
    origin_report(&r, run->cli->verb->name, run->cli->argc, run->cli->argv);
    return report_end(&r);
}
