/* thumbnail.h - image files as small pictures within a page. */
#ifndef EVAL_THUMBNAIL_H
#define EVAL_THUMBNAIL_H

#include "eval/cli.h"
#include "eval/page.h"

struct thumbnails { /* zeroed but for cli */
    struct cli *cli;
    struct vlqa_engine *engine; /* decodes; opened for the first image */
    struct vlqa_session *session;
    int failed; /* to open: no more tries, no pictures */
};

/* <img> with the picture in it, or a placeholder that says what is missing. path is as it is or
 * beside the file `of`. */
void thumbnail(struct thumbnails *t, struct page *p, const char *path, const char *of);
void thumbnails_close(struct thumbnails *t);

#endif
