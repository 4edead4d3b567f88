/* answers.h - the graded lines of run files: what was asked, by which way, and what came of it.
 *
 * A line is {"id", "score" from 0 to 1} and, where it is there, "dataset", "category" (else
 * "split"), "metric", "question", "prediction", what is right ("answers", "targets" or "answer"
 * with "options"), "image" or "images", "method", "chunk" ("" and absent: none), "ratio", "rows"
 * {"total", "recomputed"}, "flops", "kl", "kl_answer", "digests" {"model"}, "ms" {...}. A line
 * without id tells of the run and those behind it: "command", "commit", "version", "build",
 * "machine", "cpu", "model", "model_digest", "dataset". Times may lie beside it instead, in
 * PATH.times: "ms" with "row", the place among the lines with an id, from 0, or with the same id,
 * method, chunk and ratio. */
#ifndef EVAL_ANSWERS_H
#define EVAL_ANSWERS_H

#include "base/env.h"

#define ANSWER_TEXT 600     /* bytes of a text that are kept */
#define ANSWER_MAX_WAYS 256 /* of all files */
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

struct answer_way {
    const char *dataset, *metric, *method, *chunk; /* "" where the lines do not say */
    double ratio;                                  /* NaN: likewise */
    int is_off;                                    /* of the method: off, dense or not said */
    int is_dense;                                  /* no chunks: what the others are held against */
};

struct answer_row { /* texts are never NULL */
    uint64_t key;   /* of the id */
    const char *id, *category, *question, *prediction, *target, *path;
    const char *error;               /* why nothing was said */
    int way, line, ordinal;          /* ordinal: among the lines with an id of its file, from 0 */
    double score, total, recomputed; /* rows; NaN: unknown */
    double flops, kl;                /* of the prompt; of the first token, to dense; NaN: unknown */
    double kl_answer;                /* mean over the tokens of dense's answer; NaN: unknown */
    double ms[ANSWER_TIMES];         /* NaN: unknown */
};

struct answer_facts { /* "": unknown; a line for each that differs */
    const char *command, *commit, *version, *build, *machine, *cpu, *model, *digest;
};

struct answer_set {
    struct answer_row *row;           /* by way, then by key */
    int n, n_ways, n_files, ungraded; /* ungraded: lines without a score, left out */
    const char *file[ANSWER_MAX_FILES];
    struct answer_way way[ANSWER_MAX_WAYS]; /* in the order in which they come */
    struct answer_facts facts;
    size_t cap;
    struct answer_texts *texts;
};

/* One file more; its path is borrowed. VLQA_EUSAGE for lines that are wrong. */
vlqa_status answers_read(struct env *env, const char *path, struct answer_set *set);
/* After the last file: sorts, refuses one id twice in one way. */
vlqa_status answers_close(struct env *env, struct answer_set *set);
void answers_free(struct answer_set *set); /* zeroed is fine */

/* The rows of a way are [*begin, return); none: equal. */
int answers_of(const struct answer_set *set, int way, int *begin);
const struct answer_row *answers_find(const struct answer_set *set, int way,
                                      uint64_t key); /* or NULL */

#endif
