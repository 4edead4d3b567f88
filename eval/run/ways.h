/* ways.h - by which methods and cuttings the rows of a file were answered, and their names.
 *
 * A *name* is METHOD[:RATIO][@CUTTING], as a run has them: full, none@grid:2, epic:0.15@grid:4.
 * What is left out of a name stands for all there is: epic for epic:0.05@grid:2 and
 * epic:0.15@grid:4. */
#ifndef EVAL_WAYS_H
#define EVAL_WAYS_H

#include "base/json.h"

#define WAYS_MAX 256
#define WAY_NAME 352

struct ways {
    int n;
    struct way {
        char name[WAY_NAME];  /* "": its rows name no method */
        size_t method, label; /* bytes of it up to the ratio, and up to the cutting */
    } way[WAYS_MAX];          /* in the order in which they come */
};

/* The way of a row, a new one where it is the first; `row` is for messages. VLQA_EUSAGE for names
 * that are too long, VLQA_ELIMIT for too many. */
vlqa_status ways_find(struct env *env, const char *row, const struct json *root, struct ways *ways,
                      int *out);
/* Whether the word names it; full and off are one. */
int way_is(const struct way *way, const char *word);
const char *way_cut(const struct way *way); /* "grid:2", or "" */

struct ways_pick { /* some ways of a file; zeroed but for the first two: none */
    const struct ways *of;
    const char *path;
    unsigned char has[WAYS_MAX];
    int n;
};

/* Adds what the word names, NULL: all. VLQA_EUSAGE with what there is where it names none. */
vlqa_status ways_add(struct env *env, struct ways_pick *pick, const char *word);
int ways_first(const struct ways_pick *pick); /* of n > 0 */
/* The one of the pick to hold a way against: that of its name, else (not by_name) of its cutting,
 * else the only one; -1: none. VLQA_EUSAGE where it might be two. */
vlqa_status ways_partner(struct env *env, const struct ways_pick *pick, const struct way *way,
                         int by_name, int *out);
/* VLQA_EUSAGE: PATH is said something of, and what it has. */
vlqa_status ways_fail(struct env *env, const struct ways_pick *pick, const char *what);

#endif
