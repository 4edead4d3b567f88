/* feed.h - the questions of a run in their order, with their images: the next ones are read,
 * decoded and resized on another thread while the model answers. */
#ifndef EVAL_FEED_H
#define EVAL_FEED_H

#include "eval/data/dataset.h"
#include "eval/run/run.h"

/* Images that are made ready ahead hold so many bytes and those of one question more. */
#define FEED_MAX_BYTES ((size_t)256 << 20)

/* ---- rows that are asked ---- */

struct feed_rows {
    struct dataset *d;
    int64_t left, wanted; /* rows that come, and to be taken of them */
    int shuffle;
    uint64_t random;
};

/* rows: of the whole data set; more than there are where the first ones are asked. */
vlqa_status feed_rows_open(struct env *env, const struct run_args *args, int64_t rows,
                           struct feed_rows *out);
/* The next row that is asked, NULL behind the last. */
vlqa_status feed_rows_next(struct env *env, struct feed_rows *rows,
                           const struct dataset_item **out);
void feed_rows_close(struct feed_rows *rows); /* zeroed is fine */

/* ---- questions ---- */

struct feed_question {
    struct dataset_item item; /* a copy, without the bytes of its images */
    void *texts;              /* of the copy */
    struct vlqa_image *image[DATASET_IMAGES];
    char digest[DATASET_IMAGES][65]; /* of the encoded images; "": there is none */
    vlqa_status status;              /* not VLQA_OK: an image cannot be used, as is said here: */
    char reason[sizeof((struct env *)0)->message];
};

struct feed;

/* The first `skip` questions come without images. args->jobs - 1 are made ready ahead. */
vlqa_status feed_open(struct env *env, const struct run_args *args, int64_t rows,
                      const struct vlqa_engine *engine, int skip, struct feed **out);
/* The next, valid until the one after it; NULL behind the last. */
vlqa_status feed_next(struct env *env, struct feed *feed, const struct feed_question **out);
void feed_close(struct feed *feed); /* NULL is fine; before the engine */

/* What tells of a question that cannot be asked, now or later, and of nothing else. */
int feed_is_bad_question(vlqa_status status);
/* "FILE, line N (ID): REASON" */
vlqa_status feed_fail(struct env *env, const struct dataset_item *item, vlqa_status status,
                      const char *reason);

#endif
