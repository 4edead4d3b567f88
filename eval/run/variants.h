/* variants.h - by which variants and chunkings the rows of a file were answered, and their names.
 *
 * A *name* is VARIANT[:RATIO][@CHUNKING], as a run has them: full, none@grid:2, epic:0.15@grid:4.
 * What is left out of a name stands for all there is: epic for epic:0.05@grid:2 and
 * epic:0.15@grid:4. */
#ifndef EVAL_VARIANTS_H
#define EVAL_VARIANTS_H

#include "base/json.h"

#define VARIANTS_MAX 256
#define VARIANT_NAME 352

struct variants {
    int n;
    struct named_variant {
        char name[VARIANT_NAME]; /* "": its rows name no variant */
        size_t spec, label;      /* bytes of it up to the ratio, and up to the chunking */
    } variant[VARIANTS_MAX];     /* in the order in which they come */
};

/* The way of a row, a new one where it is the first; `row` is for messages. VLQA_EUSAGE for names
 * that are too long, VLQA_ELIMIT for too many. */
vlqa_status variants_find(struct env *env, const char *row, const struct json *root,
                          struct variants *variants, int *out);
/* Whether the word names it; full and off are one. */
int variant_is(const struct named_variant *variant, const char *word);
const char *variant_chunking(const struct named_variant *variant); /* "grid:2", or "" */

struct variants_pick { /* some variants of a file; zeroed but for the first two: none */
    const struct variants *of;
    const char *path;
    unsigned char has[VARIANTS_MAX];
    int n;
};

/* Adds what the word names, NULL: all. VLQA_EUSAGE with what there is where it names none. */
vlqa_status variants_add(struct env *env, struct variants_pick *pick, const char *word);
int variants_first(const struct variants_pick *pick); /* of n > 0 */
/* The one of the pick to hold a variant against: that of its name, else (not by_name) of its
 * chunking, else the only one; -1: none. VLQA_EUSAGE where it might be two. */
vlqa_status variants_partner(struct env *env, const struct variants_pick *pick,
                             const struct named_variant *variant, int by_name, int *out);
/* VLQA_EUSAGE: PATH is said something of, and what it has. */
vlqa_status variants_fail(struct env *env, const struct variants_pick *pick, const char *what);

#endif
