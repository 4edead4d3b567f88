/* thumbnail.h - images within a page, shown small and on a click at their size (at most 1600
 * pixels), with the rows that were computed again. */
#ifndef EVAL_THUMBNAIL_H
#define EVAL_THUMBNAIL_H

#include "eval/cli/cli.h"
#include "eval/report/page.h"
#include "eval/run/repaired.h"

struct thumbnails { /* zeroed but for cli */
    struct cli *cli;
    struct vlqa_engine *engine; /* decodes; opened for the first image */
    struct vlqa_session *session;
    int failed; /* to open: no more tries, no pictures */
};

struct thumbnail { /* one of the two */
    uint8_t *png;
    size_t bytes;
    const char *missing; /* what is said in its place */
};

/* Of a whole encoded image. rows NULL: none are drawn. */
void thumbnail_make(struct thumbnails *t, const void *data, size_t bytes, const char *name,
                    const struct repaired *rows, struct thumbnail *out);
/* Of a file, whose path is as it is or beside the file `of`. */
void thumbnail_file(struct thumbnails *t, const char *path, const char *of,
                    const struct repaired *rows, struct thumbnail *out);
/* An <img> with the picture in it, which a click shows at its full size, or a box that says what is
 * missing. */
void thumbnail_put(struct page *p, const struct thumbnail *picture, const char *alt);
void thumbnail_free(struct thumbnail *picture);
void thumbnails_close(struct thumbnails *t);

/* The path as it is, else beside the file `of`; 0: neither is there. */
int thumbnail_find(const char *path, const char *of, char *out, size_t cap);

#endif
