/* study_calibrate.c - the layers to score by: each alone, then the best of them together. */
#include "eval/options/calibration.h"
#include "eval/study/study.h"

#include <math.h>
#include <string.h>

vlqa_status study_add_variant(struct study *s, const struct variant *m, int *at)
{
    for (*at = 0; *at < s->n_variants; ++*at)
        if (strcmp(s->variant[*at].name, m->name) == 0) return VLQA_OK;
    if (s->n_variants == STUDY_VARIANTS)
        return env_fail(&s->cli.env, VLQA_ELIMIT, "--variants: more than %d", STUDY_VARIANTS);
    s->variant[s->n_variants++] = *m;
    return VLQA_OK;
}

static vlqa_status add_with_layers(struct study *s, const struct variant *like,
                                   const struct reuse_layers *layers, int *at)
{
    struct variant m = *like;
    char list[256]; /* of 128 layers at most 255 */
    reuse_write_layers(layers, '+', list, sizeof list);
    snprintf(m.name, sizeof m.name, "%.60s/%s", like->name, list);
    m.args.layers = *layers;
    return study_add_variant(s, &m, at);
}

vlqa_status study_expand_layers(struct study *s)
{
    struct variant list[STUDY_VARIANTS];
    int n = s->n_variants, at;
    memcpy(list, s->variant, sizeof list);
    s->n_variants = 0;
    s->calibrated = -1;
    for (int i = 0; i < n; i++) {
        TRY(study_add_variant(s, &list[i], &at));
        if (!variant_has_layers(&list[i])) continue;
        if (s->calibrated < 0) s->calibrated = at;
        for (int layer = 0; layer < s->run->info.layers; layer++) {
            struct reuse_layers one = {.calibrated = 0};
            reuse_add_layer(&one, layer);
            TRY(add_with_layers(s, &list[i], &one, &at));
        }
    }
    if (s->calibrated >= 0) return VLQA_OK;
    return env_fail(&s->cli.env, VLQA_EUSAGE,
                    "--calibrate: none of --variants has an attention probe, as infoflow has");
}

/* Over all questions, chunkings and ratios. */
static double mean_kl(const struct study *s, int variant)
{
    double sum = 0;
    for (int q = 0; q < s->run->n_questions; q++)
        for (int chunking = 0; chunking < s->n_chunkings; chunking++)
            for (int r = 0; r < s->n_ratios; r++)
                sum += study_kl(s, q, chunking, variant, r);
    return sum / s->run->n_questions / s->n_chunkings / s->n_ratios;
}

/* Of the layers that are not in the set, the one that is best alone; lower ones where equal. */
static int next_best(const struct study *s, const struct reuse_layers *set)
{
    int best = -1;
    double least = INFINITY;
    for (int layer = 0; layer < s->run->info.layers; layer++) {
        double kl = mean_kl(s, s->calibrated + 1 + layer);
        if (reuse_has_layer(set, layer) || !(kl < least)) continue;
        best = layer;
        least = kl;
    }
    return best;
}

vlqa_status study_add_sets(struct study *s)
{
    struct reuse_layers set = {.calibrated = 0};
    struct variant like = s->variant[s->calibrated];
    for (int k = 1, best, at; k < s->run->info.layers; k++) {
        if ((best = next_best(s, &set)) < 0) return VLQA_OK; /* no numbers left */
        reuse_add_layer(&set, best);
        if (k > 1) TRY(add_with_layers(s, &like, &set, &at));
    }
    return VLQA_OK;
}

/* Whether a variant is the calibrated one in layers of its own. */
static int is_of_calibrated(const struct study *s, int variant)
{
    const struct variant *base = &s->variant[s->calibrated], *m = &s->variant[variant];
    size_t bytes = strlen(base->name);
    return variant == s->calibrated ||
           (strncmp(m->name, base->name, bytes) == 0 && m->name[bytes] == '/' &&
            (m->name[bytes + 1] >= '0' && m->name[bytes + 1] <= '9'));
}

vlqa_status study_keep_layers(struct study *s)
{
    const struct run_args *args = &s->args.run;
    const struct reuse_layers *layers;
    struct calibration c = {.variant = s->variant[s->calibrated].name,
                            .questions = s->run->n_questions};
    char path[CACHE_PATH], list[320];
    int best = s->calibrated;
    c.kl = c.kl_all = mean_kl(s, best);
    for (int m = 0; m < s->n_variants; m++) {
        double kl = mean_kl(s, m);
        if (!is_of_calibrated(s, m) || !(kl < c.kl)) continue;
        best = m;
        c.kl = kl;
    }
    layers = &s->run->variant[s->run_at[best]].args.layers; /* found, where they were calibrated */
    c.layers = *layers;
    for (int i = 0; i < s->run->info.layers && !reuse_layers_end(layers); i++)
        reuse_add_layer(&c.layers, i);
    TRY(calibration_write(&s->cli.env, &args->cache, &s->run->info, &c, path));
    reuse_write_layers(&c.layers, ',', list, sizeof list);
    printf("\ncalibrated layers %s of %s: mean KL %.3f, by %s %.3f; stored in %s\n", list,
           c.variant, c.kl, c.variant, c.kl_all, path);
    return VLQA_OK;
}
