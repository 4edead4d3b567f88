/* shape.c - the released sizes, one line each. */
#include "fusion/engine/shape.h"

#include <string.h>

struct shape {
    const char *name;
    int hidden, inner, layers, heads, kv_heads, head_dim, vocab, tied, max_positions;
    double theta;
    int section[3];
    int v_hidden, v_inner, v_depth, v_heads, v_side, deep[3], n_deep;
    int64_t min_pixels, max_pixels;
};

#define TOWER_L 1024, 4096, 24, 16, 48, {5, 11, 17}, 3, 65536, 16777216
#define TOWER_S 1152, 4304, 27, 16, 48, {8, 16, 24}, 3, 65536, 16777216
#define RELEASED(tied)              \
    128, 151936, tied, 262144, 5e6, \
    {                               \
        24, 20, 20                  \
    }

static const struct shape shapes[] = {
    {"2b", 2048, 6144, 28, 16, 8, RELEASED(1), TOWER_L},
    {"4b", 2560, 9728, 36, 32, 8, RELEASED(1), TOWER_L},
    {"8b", 4096, 12288, 36, 32, 8, RELEASED(0), TOWER_S},
    {"32b", 5120, 25600, 64, 64, 8, RELEASED(0), TOWER_S},
    {"default",    256, 768, 8, 4, 2,  64,        1280, 1,    8192,   1e4,
     {12, 10, 10}, 192, 768, 6, 3, 24, {1, 3, 0}, 2,    6144, 1048576},
};

static void fill_text(const struct shape *s, struct decoder_config *c)
{
    *c = (struct decoder_config){.hidden = s->hidden,
                                 .inner = s->inner,
                                 .layers = s->layers,
                                 .heads = s->heads,
                                 .kv_heads = s->kv_heads,
                                 .head_dim = s->head_dim,
                                 .vocab = s->vocab,
                                 .max_positions = s->max_positions,
                                 .tied = s->tied,
                                 .eps = 1e-6f};
    c->rope =
        (struct rope_config){s->theta, s->head_dim, {s->section[0], s->section[1], s->section[2]}};
}

static void fill_vision(const struct shape *s, struct vit_config *c)
{
    *c = (struct vit_config){.hidden = s->v_hidden,
                             .inner = s->v_inner,
                             .depth = s->v_depth,
                             .heads = s->v_heads,
                             .out_hidden = s->hidden,
                             .side = s->v_side,
                             .n_deep = s->n_deep,
                             .min_pixels = s->min_pixels,
                             .max_pixels = s->max_pixels};
    memcpy(c->deep, s->deep, sizeof s->deep);
    c->patch = (struct patch_config){16, 2, 2, 3, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}};
}

vlqa_status shape_named(struct env *env, const char *name, struct decoder_config *text,
                        struct vit_config *vision)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, name) != 0) continue;
        fill_text(&shapes[i], text);
        fill_vision(&shapes[i], vision);
        return VLQA_OK;
    }
    return env_fail(env, VLQA_EUSAGE, "shape is \"%s\", expected 2b, 4b, 8b, 32b or default", name);
}
