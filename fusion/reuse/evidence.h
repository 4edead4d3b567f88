/* evidence.h - scores of tokens to boxes in the pixels of the source images. */
#ifndef FUSION_EVIDENCE_H
#define FUSION_EVIDENCE_H

#include "base/arena.h"
#include "include/vlqa.h"

#define EVIDENCE_MAX 16

struct evidence_bounds {
    int most;    /* boxes, 0..EVIDENCE_MAX */
    float share; /* of the tokens of all images, those of the highest scores, and one more */
};

/* score [n] of the tokens of the prompt, of which placed images are parts; tokens without a
 * positive score are no evidence. Returns the number of boxes. */
int evidence_find(const float *score, int n, const struct vlqa_placed_image *image, int n_images,
                  struct evidence_bounds bounds, struct arena *scratch,
                  struct vlqa_evidence out[EVIDENCE_MAX]);
void evidence_measure(int n, struct arena *dry); /* what it takes of the scratch while it runs */

#endif
