/* vit.h - the vision tower: patches to visual rows and the DeepStack rows beside them. */
#ifndef VISION_VIT_H
#define VISION_VIT_H

#include "base/arena.h"
#include "base/json.h"
#include "base/safetensors.h"
#include "kernels/backend.h"
#include "vision/patch.h"

#define VIT_MAX_LAYERS 64
#define VIT_MAX_DEEP 8

struct vit_config {
    int hidden, inner, depth, heads, out_hidden, side; /* side * side learned positions */
    int n_deep, deep[VIT_MAX_DEEP];                    /* after which blocks */
    struct patch_config patch;
    int64_t min_pixels, max_pixels; /* of the resized image: preprocessor_config.json */
    enum dtype compute;
};

struct vit_layer {
    const float *norm1_w, *norm1_b, *norm2_w, *norm2_b; /* [hidden] */
    struct mat qkv, proj, fc1, fc2;                     /* [3h, h] [h, h] [inner, h] [h, inner] */
    const float *qkv_b, *proj_b, *fc1_b, *fc2_b;
};

struct vit_merger {
    const float *norm_w, *norm_b; /* [hidden], or [hidden * merge^2] when norm_merged */
    int norm_merged;              /* DeepStack: the norm comes after the concatenation */
    struct mat fc1, fc2;          /* [4h, 4h] [out_hidden, 4h] with 4 = merge^2 */
    const float *fc1_b, *fc2_b;
};

struct vit {
    struct vit_config config;
    struct mat patch_w; /* [hidden, channels * temporal * patch * patch] */
    const float *patch_b;
    struct mat pos; /* [side * side, hidden] */
    struct vit_layer layer[VIT_MAX_LAYERS];
    struct vit_merger merger, deep[VIT_MAX_DEEP];
};

struct vit_out {
    struct grid grid;  /* of visual rows: patch grid / merge */
    struct mat visual; /* [grid.h * grid.w, out_hidden] */
    struct mat deep[VIT_MAX_DEEP];
    int n_deep;
};

/* vision_config of config.json, and preprocessor_config.json (or processor_config.json) of dir. */
vlqa_status vit_config_read(struct env *env, const struct json_doc *doc, const char *dir,
                            struct vit_config *out);
vlqa_status vit_load(struct env *env, struct backend *be, struct st_files *files,
                     const struct vit_config *config, struct arena *mem, struct vit *out);
/* Scratch of an image of that patch grid, in bytes. */
size_t vit_scratch(const struct vit_config *c, struct grid patches);
/* patches [h * w, 3 * 2 * 16 * 16] in merge order, compute dtype; out's matrices are the caller's
 * and have its dtype. Progress and cancel between blocks: VLQA_ECANCELLED. */
vlqa_status vit_encode(struct backend *be, const struct vit *vit, struct mat patches,
                       struct grid grid, struct arena *scratch, struct vit_out *out);
/* Learned position of every patch, bilinear with aligned corners, in merge order: out
 * [h * w, hidden] f32. */
void vit_positions(const struct vit *vit, struct grid grid, struct mat out);
/* cos/sin of the 2-D rotation, in merge order: out [h * w, hidden / heads] f32. */
void vit_rope_table(const struct vit_config *c, struct grid grid, struct mat out);

#endif
