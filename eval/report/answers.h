/* answers.h - the graded lines of run files: what was asked, by which variant, and what came of it.
 *
 * A line is {"id", "score" from 0 to 1} and, where it is there, "dataset", "category",
 * "split", "group", "metric", "question", "prediction", what is right ("answers", "targets" or
 * "answer" with "options"), "image" or "images", "variant", "chunk" ("" and absent: none), "ratio",
 * "rows"
 * {"total", "recomputed"}, "flops", "kl", "kl_answer", "kl_by_distance", "digests" {"model"}, "ms"
 * {...}. A line without id tells of the run and those behind it: "command", "commit", "version",
 * "build", "machine", "cpu", "model", "model_digest", "dataset". Times may lie beside it instead,
 * in PATH.times: "ms" with "row", the place among the lines with an id, from 0, or with the same
 * id, variant, chunk and ratio. */
#ifndef EVAL_ANSWERS_H
#define EVAL_ANSWERS_H

#include "base/env.h"

#define ANSWER_DISTANCES 12
#define ANSWER_TEXT 600         /* bytes of a text that are kept */
#define ANSWER_MAX_VARIANTS 256 /* of all files */
#define ANSWER_MAX_FILES 256

enum answer_time {
    ANSWER_VISION,
    ANSWER_CHUNKS,
    ANSWER_ASSEMBLE,
    ANSWER_SCORE,
    ANSWER_REPAIR,
    ANSWER_PREFILL,
    ANSWER_DECODE,
    ANSWER_TIMES
};

enum answer_group { ANSWER_CATEGORY, ANSWER_SPLIT, ANSWER_GROUPS };

struct answer_variant {
    const char *dataset, *metric, *name, *chunk; /* "" where the lines do not say */
    double ratio;                                /* NaN: likewise */
    int is_full_by_name;                         /* of the variant: off, full prefill or not said */
    int is_full_prefill;                         /* no chunks: what the others are held against */
};

struct answer_row {     /* texts are never NULL */
    uint64_t key;       /* of the id */
    uint64_t documents; /* equal where questions belong together: group.h */
    const char *id, *group[ANSWER_GROUPS], *question, *prediction, *target, *path;
    const char *error;               /* why nothing was said */
    uint8_t is_first[ANSWER_GROUPS]; /* of those of its variant, documents and category or split */
    int variant, line, ordinal;      /* ordinal: among the lines with an id of its file, from 0 */
    double score, total, recomputed; /* rows; NaN: unknown */
    double flops, kl; /* of the prompt; of the first token, to full prefill; NaN: unknown */
    double kl_answer; /* mean over the tokens of full prefill's answer; NaN: unknown */
    double kl_at[ANSWER_DISTANCES]; /* by their distance from the prompt (stats.h); NaN: unknown */
    double ms[ANSWER_TIMES];        /* NaN: unknown */
};

struct answer_facts { /* "": unknown; a line for each that differs */
    const char *command, *commit, *version, *build, *machine, *cpu, *model, *digest, *prompt,
        *blind;
};

struct answer_set {
    struct answer_row *row;               /* by way, then by key */
    int n, n_variants, n_files, ungraded; /* ungraded: lines without a score, left out */
    const char *file[ANSWER_MAX_FILES];
    struct answer_variant variant[ANSWER_MAX_VARIANTS]; /* in the order in which they come */
    struct answer_facts facts;
    size_t cap;
    struct answer_texts *texts;
};

/* One file more; its path is borrowed. VLQA_EUSAGE for lines that are wrong. */
vlqa_status answers_read(struct env *env, const char *path, struct answer_set *set);
/* After the last file: sorts, refuses one id twice of one variant. */
vlqa_status answers_close(struct env *env, struct answer_set *set);
void answers_free(struct answer_set *set); /* zeroed is fine */

/* The rows of a variant are [*begin, return); none: equal. */
int answers_of(const struct answer_set *set, int variant, int *begin);
const struct answer_row *answers_find(const struct answer_set *set, int variant,
                                      uint64_t key); /* or NULL */

#endif
