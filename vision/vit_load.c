/* vit_load.c - vision_config and the weights of the tower: the inventory. */
#include "vision/processor.h"
#include "vision/vit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VIT_THETA 10000.0

static vlqa_status check_shape(struct env *env, const struct vit_config *c, int positions)
{
    int dim = c->heads ? c->hidden / c->heads : 0;
    if (c->hidden % c->heads || dim % 4 || dim > 2 * VIT_MAX_HALF)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: vision_config: hidden_size %d / num_heads %d is no multiple "
                        "of 4 up to 256",
                        c->hidden, c->heads);
    if (c->side * c->side != positions)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: num_position_embeddings is %d, expected a square", positions);
    if (c->patch.channels != 3)
        return env_fail(env, VLQA_EMODEL, "config.json: in_channels is %d, expected 3",
                        c->patch.channels);
    for (int i = 0; i < c->n_deep; i++)
        if (c->deep[i] >= c->depth || (i && c->deep[i] <= c->deep[i - 1]))
            return env_fail(env, VLQA_EMODEL,
                            "config.json: deepstack_visual_indexes has %d at place %d, expected "
                            "ascending numbers below depth = %d",
                            c->deep[i], i, c->depth);
    return VLQA_OK;
}

static vlqa_status check_variant(struct env *env, const struct json_doc *doc,
                                 const struct json *vision)
{
    const char *act = "gelu_pytorch_tanh";
    double theta = 10000.0;
    TRY(json_opt_string(env, doc, vision, "hidden_act", &act));
    if (strcmp(act, "gelu_pytorch_tanh") != 0)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: vision_config.hidden_act is \"%s\", expected "
                        "\"gelu_pytorch_tanh\"",
                        act);
    TRY(json_opt_double(env, doc, json_get(vision, "rope_parameters"), "rope_theta", 1.0, 1e12,
                        &theta));
    if (theta < 9999.5 || theta > 10000.5)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: vision_config's rope_theta is %g, expected 10000", theta);
    return VLQA_OK;
}

vlqa_status vit_config_read(struct env *env, const struct json_doc *doc, const char *dir,
                            struct vit_config *out)
{
    const struct json *vision;
    struct vit_config c = {0};
    int positions = 0;
    TRY(json_want_object(env, doc, json_root(doc), "vision_config", &vision));
    TRY(json_want_int(env, doc, vision, "hidden_size", 4, 1 << 14, &c.hidden));
    TRY(json_want_int(env, doc, vision, "intermediate_size", 1, 1 << 17, &c.inner));
    TRY(json_want_int(env, doc, vision, "depth", 1, VIT_MAX_LAYERS, &c.depth));
    TRY(json_want_int(env, doc, vision, "num_heads", 1, 256, &c.heads));
    TRY(json_want_int(env, doc, vision, "out_hidden_size", 1, 1 << 16, &c.out_hidden));
    TRY(json_want_int(env, doc, vision, "num_position_embeddings", 1, 1 << 20, &positions));
    TRY(json_want_int(env, doc, vision, "patch_size", 1, 64, &c.patch.patch));
    TRY(json_want_int(env, doc, vision, "spatial_merge_size", 1, 8, &c.patch.merge));
    TRY(json_want_int(env, doc, vision, "temporal_patch_size", 1, 8, &c.patch.temporal));
    c.patch.channels = 3;
    TRY(json_opt_int(env, doc, vision, "in_channels", 1, 64, &c.patch.channels));
    TRY(json_want_ints(env, doc, vision, "deepstack_visual_indexes", 0, VIT_MAX_LAYERS,
                       VIT_MAX_DEEP, c.deep, &c.n_deep));
    c.side = (int)lround(sqrt((double)positions));
    TRY(check_shape(env, &c, positions));
    TRY(check_variant(env, doc, vision));
    TRY(processor_read(env, dir, &c));
    *out = c;
    return VLQA_OK;
}

static vlqa_status layer_load(struct weights *w, const struct vit_config *c, int i,
                              struct vit_layer *out)
{
    int h = c->hidden, inner = c->inner;
    TRY(weights_vector(w, &out->norm1_w, h, "visual.blocks.%d.norm1.weight", i));
    TRY(weights_vector(w, &out->norm1_b, h, "visual.blocks.%d.norm1.bias", i));
    TRY(weights_get2(w, &out->qkv, 3 * h, h, "visual.blocks.%d.attn.qkv.weight", i));
    TRY(weights_vector(w, &out->qkv_b, 3 * h, "visual.blocks.%d.attn.qkv.bias", i));
    TRY(weights_get2(w, &out->proj, h, h, "visual.blocks.%d.attn.proj.weight", i));
    TRY(weights_vector(w, &out->proj_b, h, "visual.blocks.%d.attn.proj.bias", i));
    TRY(weights_vector(w, &out->norm2_w, h, "visual.blocks.%d.norm2.weight", i));
    TRY(weights_vector(w, &out->norm2_b, h, "visual.blocks.%d.norm2.bias", i));
    TRY(weights_get2(w, &out->fc1, inner, h, "visual.blocks.%d.mlp.linear_fc1.weight", i));
    TRY(weights_vector(w, &out->fc1_b, inner, "visual.blocks.%d.mlp.linear_fc1.bias", i));
    TRY(weights_get2(w, &out->fc2, h, inner, "visual.blocks.%d.mlp.linear_fc2.weight", i));
    TRY(weights_vector(w, &out->fc2_b, h, "visual.blocks.%d.mlp.linear_fc2.bias", i));
    return VLQA_OK;
}

static vlqa_status merger_load(struct weights *w, const struct vit_config *c, const char *name,
                               int norm_merged, struct vit_merger *out)
{
    int wide = c->hidden * c->patch.merge * c->patch.merge;
    int normed = norm_merged ? wide : c->hidden;
    out->norm_merged = norm_merged;
    TRY(weights_vector(w, &out->norm_w, normed, "%s.norm.weight", name));
    TRY(weights_vector(w, &out->norm_b, normed, "%s.norm.bias", name));
    TRY(weights_get2(w, &out->fc1, wide, wide, "%s.linear_fc1.weight", name));
    TRY(weights_vector(w, &out->fc1_b, wide, "%s.linear_fc1.bias", name));
    TRY(weights_get2(w, &out->fc2, c->out_hidden, wide, "%s.linear_fc2.weight", name));
    TRY(weights_vector(w, &out->fc2_b, c->out_hidden, "%s.linear_fc2.bias", name));
    return VLQA_OK;
}

/* Rows turn the first half of the frequencies, columns the second. Roundings are those of
 * transformers. */
static void vit_rope_inverse(const struct vit_config *c, float *out)
{
    int half = c->hidden / c->heads / 2, quarter = half / 2;
    for (int axis = 0; axis < 2; axis++)
        for (int i = 0; i < half; i++) {
            float exponent = (float)(2 * (i % quarter)) / (float)half;
            float inverse = 1.0f / (float)pow(VIT_THETA, (double)exponent);
            out[axis * half + i] = axis == i / quarter ? inverse : 0.0f;
        }
}

vlqa_status vit_load(struct weights *w, const struct vit_config *config, struct vit *out)
{
    const struct vit_config *c = config;
    const struct patch_config *p = &c->patch;
    float inverse[2 * VIT_MAX_HALF];
    int64_t conv[5] = {c->hidden, p->channels, p->temporal, p->patch, p->patch};
    assert(w->compute == c->compute);
    out->config = *c;
    TRY(weights_conv(w, &out->patch_w, conv, "visual.patch_embed.proj.weight"));
    TRY(weights_vector(w, &out->patch_b, c->hidden, "visual.patch_embed.proj.bias"));
    TRY(weights_table(w, &out->pos, c->side * c->side, c->hidden, "visual.pos_embed.weight"));
    vit_rope_inverse(c, inverse);
    weights_constant(w, &out->rope_inverse, 2, c->hidden / c->heads / 2, inverse);
    for (int i = 0; i < c->depth; i++)
        TRY(layer_load(w, c, i, &out->layer[i]));
    TRY(merger_load(w, c, "visual.merger", 0, &out->merger));
    for (int i = 0; i < c->n_deep; i++) {
        char name[64];
        snprintf(name, sizeof name, "visual.deepstack_merger_list.%d", i);
        TRY(merger_load(w, c, name, 1, &out->deep[i]));
    }
    return VLQA_OK;
}

vlqa_status vit_expect(struct env *env, struct device *d, const struct vit *vit)
{
    enum dtype x = vit->config.compute;
    TRY(device_expect(env, d, vit->patch_w, x, 1));
    for (int i = 0; i < vit->config.depth; i++) {
        const struct vit_layer *l = &vit->layer[i];
        const struct weight sums[] = {l->qkv, l->proj, l->fc2};
        for (size_t j = 0; j < sizeof sums / sizeof *sums; j++)
            TRY(device_expect(env, d, sums[j], x, 1));
    }
    return VLQA_OK;
}
