/* quality.h - --quality: the rate at which answers are those of full prefill, as it was calibrated
 * for a model.
 *
 * quality-DDDDDDDDDDDDDDDD.json in the cache directory, D the beginning of the model's digest, or
 * else quality.json in the model's directory:
 *   {"format": "vlqa quality 1", "model": DIGEST, "dtype": NAME, "weights": NAME,
 *    "chunk_dtype": NAME, "halo": N, "max_tokens": N, "questions": N, "documents": N,
 *    "families": [{"ratio": R, "answers": N,
 *                  "points": [{"failures": N, "margin": M, "work": W}, ...]}, ...]}
 * It holds for what it names; max_tokens, questions and documents say where it comes from. The
 * points of a family begin with the largest margin and the fewest failures (quality_table.h). */
#ifndef EVAL_QUALITY_H
#define EVAL_QUALITY_H

#include "eval/options/cache_flags.h"
#include "eval/options/quality_table.h"
#include "eval/options/reuse_flags.h"
#include "eval/options/sampling.h"

struct quality_file {
    int halo, max_tokens, questions, documents;
    struct quality_table table;
};

/* --quality names what it decides by itself, or what makes another answer than full prefill's:
 * CLI_OK, or an exit code behind a message with both names. sampling NULL: greedy. */
int quality_check(struct cli *cli, const struct reuse_args *reuse,
                  const struct sampling_args *sampling);
/* What was asked for becomes a ratio and a margin, or full prefill: of 1, without a cache, and
 * where no margin keeps the promise. VLQA_EUSAGE where the model was not calibrated, VLQA_EIO for a
 * file that is wrong or of another model or other settings. */
vlqa_status quality_apply(struct cli *cli, const struct cache_args *cache,
                          const struct vlqa_engine *engine, struct reuse_args *args);
/* As quality_apply reads it. */
vlqa_status quality_read(struct env *env, const char *path, const struct vlqa_model_info *model,
                         struct quality_file *out);
/* Into the cache directory. path: what was written. */
vlqa_status quality_write(struct env *env, const struct cache_args *cache,
                          const struct vlqa_model_info *model, const struct quality_file *file,
                          char path[CACHE_PATH]);

/* What was promised, why, and what an answer took: a member "quality", and a note. */
void quality_report(struct report *r, const struct reuse_args *args,
                    const struct vlqa_answer *answer);
void quality_explain(struct cli *cli, const struct reuse_args *args,
                     const struct vlqa_answer *answer);

#endif
