/* calibration.h - the layers whose attention scored best in a study, kept beside a model's chunks.
 *
 * calibration-DDDDDDDDDDDDDDDD.json in the cache directory, D the beginning of the model's digest:
 *   {"format": "vlqa calibration 1", "model": DIGEST, "layers": [3, 5, 6], "variant": TEXT,
 *    "questions": N, "kl": MEAN, "kl_all": MEAN or null}
 * The first three are read, the others say where they come from. */
#ifndef EVAL_CALIBRATION_H
#define EVAL_CALIBRATION_H

#include "eval/options/cache_flags.h"
#include "eval/options/reuse_flags.h"

struct calibration {
    struct reuse_layers layers;
    const char *variant;
    int questions;
    double kl, kl_all; /* mean KL of these layers, and of all; NaN: unknown */
};

/* KIND-DDDDDDDDDDDDDDDD.json in the cache directory. VLQA_EUSAGE where there is none. */
vlqa_status calibration_path(struct env *env, const struct cache_args *cache, const char *kind,
                             const char *digest, char path[CACHE_PATH]);
/* Writes text, of report_end, there, and frees it. */
vlqa_status calibration_keep(struct env *env, const struct cache_args *cache, const char *kind,
                             const char *digest, char *text, char path[CACHE_PATH]);
/* Into the cache directory, which is made where it is not there. path: what was written. */
vlqa_status calibration_write(struct env *env, const struct cache_args *cache,
                              const struct vlqa_model_info *model, const struct calibration *c,
                              char path[CACHE_PATH]);
/* VLQA_EUSAGE where there is no place to write to. */
vlqa_status calibration_check(struct env *env, const struct cache_args *cache);
/* "calibrated" becomes the layers that are kept for the engine's model; others stay. VLQA_EUSAGE
 * where none are kept, VLQA_EIO where they cannot be read. */
vlqa_status calibration_apply(struct env *env, const struct cache_args *cache,
                              const struct vlqa_engine *engine, struct reuse_layers *layers);

#endif
