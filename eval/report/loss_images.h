/* loss_images.h - the images of the worst answers as thumbnails: their lines are read once more,
 * and where images are inside of a TSV that, too, row by row. */
#ifndef EVAL_LOSS_IMAGES_H
#define EVAL_LOSS_IMAGES_H

#include "base/json.h"
#include "eval/report/answers_sum.h"
#include "eval/report/thumbnail.h"

#define LOSS_IMAGES 4 /* of an answer that are shown */

struct loss_images {
    struct json_doc *doc; /* the line; NULL: it is not there any more */
    int total;            /* images of the question */
    struct thumbnail image[LOSS_IMAGES];
    char alt[LOSS_IMAGES][128];
};

/* out [n]. A TSV is looked for under the name that the first line of the run tells: here, beside
 * the run, and where the run's "command" has it. What is not found is told in the thumbnail's
 * place. */
void loss_images_find(struct thumbnails *t, const struct answer_loss *loss, int n,
                      struct loss_images *out);
/* They, or one box where there is none. */
void loss_images_put(struct page *p, const struct loss_images *images);
void loss_images_free(struct loss_images *images, int n);

#endif
