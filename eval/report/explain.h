/* explain.h - where an answer came from: in words, and drawn over the images. */
#ifndef EVAL_EXPLAIN_H
#define EVAL_EXPLAIN_H

#include "eval/cli/cli.h"

/* A line for each image and chunk on standard error: found or made, exact or repaired. */
void explain_cache(struct cli *cli, const struct vlqa_answer *answer);

#define EXPLAIN_MAX_IMAGES 64

/* The images side by side: scores as heat, rows computed again, borders of chunks, evidence, and a
 * legend. pixels [answer->n_images]. An exit code. */
int explain_picture(struct cli *cli, const struct vlqa_answer *answer,
                    const struct vlqa_pixels *pixels, const char *path);

#endif
