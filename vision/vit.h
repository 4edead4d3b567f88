/* vit.h - the vision tower: patches to visual tokens and the DeepStack features beside them. */
#ifndef VISION_VIT_H
#define VISION_VIT_H

#include "base/json.h"
#include "kernels/comm.h"
#include "kernels/weights.h"
#include "vision/patch.h"

#define VIT_MAX_LAYERS 64
#define VIT_MAX_DEEP 8
#define VIT_MAX_HALF 128 /* of the values of a head */

struct vit_config {
    int hidden, inner, depth, heads, out_hidden, side; /* side * side learned positions */
    int n_deep, deep[VIT_MAX_DEEP];                    /* after which blocks */
    struct patch_config patch;
    int64_t min_pixels, max_pixels; /* of the resized image: processor.h */
    enum dtype compute;
};

struct vit_layer {
    struct mat norm1_w, norm1_b, norm2_w, norm2_b; /* [1, hidden] */
    struct weight qkv, proj, fc1, fc2;             /* [3h, h] [h, h] [inner, h] [h, inner] */
    struct mat qkv_b, proj_b, fc1_b, fc2_b;        /* [1, tokens of the weight] */
};

struct vit_merger {
    struct mat norm_w, norm_b; /* [1, hidden], or [1, hidden * merge^2] when norm_merged */
    int norm_merged;           /* DeepStack: the norm comes after the concatenation */
    struct weight fc1, fc2;    /* [4h, 4h] [out_hidden, 4h] with 4 = merge^2 */
    struct mat fc1_b, fc2_b;
};

struct vit {
    struct vit_config config;
    struct weight patch_w; /* [hidden, channels * temporal * patch * patch] */
    struct mat patch_b;
    struct mat pos;          /* [side * side, hidden] */
    struct mat rope_inverse; /* [2, head dim / 2]: what turns a head, by token and by column */
    struct vit_layer layer[VIT_MAX_LAYERS];
    struct vit_merger merger, deep[VIT_MAX_DEEP];
};

struct vit_out {
    struct grid grid;  /* of visual tokens: patch grid / merge */
    struct mat visual; /* [grid.h * grid.w, out_hidden] */
    struct mat deep[VIT_MAX_DEEP];
    int n_deep;
};

/* vision_config of config.json, and the image processor of dir (processor.h). */
vlqa_status vit_config_read(struct env *env, const struct json_doc *doc, const char *dir,
                            struct vit_config *out);
/* One pass of the inventory. w->compute is the config's. */
vlqa_status vit_load(struct weights *w, const struct vit_config *config, struct vit *out);
/* Its products that device_expect takes. */
vlqa_status vit_expect(struct env *env, struct device *d, const struct vit *vit);
/* The room of an image of that patch grid: what vit_encode takes of ws, counted into the peaks of
 * a measuring workspace. */
void vit_measure(const struct queue *q, const struct vit_config *c, struct grid patches,
                 struct workspace *dry);
/* rgb [h * patch, w * patch, 3]: host memory. out's matrices are the caller's, in the compute
 * dtype. On several ranks each computes a part of the patches, and all have all that is put out.
 * Progress and cancel between blocks: VLQA_ECANCELLED. ws is rewound, and all is done when
 * the call returns. */
vlqa_status vit_encode(struct queue *q, const struct vit *vit, const uint8_t *rgb, struct grid grid,
                       struct workspace *ws, struct vit_out *out);

#endif
