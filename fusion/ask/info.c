/* info.c - what a loaded model is: shapes, parameters, identity, memory. */
#include "fusion/ask/open.h"

#include <stdio.h>
#include <string.h>

static int64_t count(const struct vlqa_engine *e, const char *prefix)
{
    int64_t sum = 0;
    for (int i = 0; i < st_count(e->files); i++) {
        const struct st_tensor *t = st_at(e->files, i);
        int64_t values = 1;
        if (strncmp(t->name, prefix, strlen(prefix)) != 0 || strstr(t->name, "_proj.weight") ||
            strstr(t->name, "_scale"))
            continue;
        for (int k = 0; k < t->rank; k++)
            values *= t->dim[k];
        sum += values;
    }
    return sum;
}

/* The matrices of all layers, in whatever format. */
static int64_t count_layers(const struct vlqa_engine *e)
{
    int64_t sum = 0;
    for (int i = 0; i < e->decoder.config.layers; i++) {
        const struct decoder_layer *l = &e->decoder.layer[i];
        const struct weight *const all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (int k = 0; k < 7; k++)
            sum += (int64_t)all[k]->rows * all[k]->cols;
    }
    return sum;
}

static void fill_text(const struct vlqa_engine *e, struct vlqa_model_info *out)
{
    const struct decoder_config *c = &e->decoder.config;
    out->hidden = c->hidden;
    out->inner = c->inner;
    out->layers = c->layers;
    out->heads = c->heads;
    out->kv_heads = c->kv_heads;
    out->head_dim = c->head_dim;
    out->vocab = c->vocab;
    out->max_positions = c->max_positions;
    out->tied = c->tied;
    out->kv_bytes_per_token =
        2 * (int64_t)c->layers * (int64_t)mat_bytes(c->kv, 1, c->kv_heads * c->head_dim);
    out->chunk_bytes_per_token =
        2 * (int64_t)c->layers * (int64_t)mat_bytes(e->chunk, 1, engine_chunk_cols(e));
}

static void fill_vision(const struct vlqa_engine *e, struct vlqa_model_info *out)
{
    const struct vit_config *c = &e->vit.config;
    out->vision_hidden = c->hidden;
    out->vision_inner = c->inner;
    out->vision_depth = c->depth;
    out->vision_heads = c->heads;
    out->vision_patch = c->patch.patch;
    out->vision_merge = c->patch.merge;
    out->n_deepstack = c->n_deep;
    memcpy(out->deepstack, c->deep, sizeof out->deepstack);
    out->min_pixels = c->min_pixels;
    out->max_pixels = c->max_pixels;
    out->visual_bytes_per_token =
        (1 + (int64_t)c->n_deep) * c->out_hidden * (int64_t)dtype_size(c->compute);
}

vlqa_status vlqa_engine_info(const struct vlqa_engine *e, struct vlqa_model_info *to, size_t bytes)
{
    const struct vlqa_session_options plain = vlqa_session_options_default();
    struct vlqa_model_info all, *out = &all;
    static const char *const formats[] = {"f32", "bf16", "f16", "int8", "int4", "fp8"};
    const char *kv;
    if (!e || !to || bytes < MODEL_INFO_LEAST || !e->usable) return VLQA_EUSAGE;
    memset(out, 0, sizeof *out);
    kv = e->decoder.config.kv == DT_BF16 ? "bf16" : "f32";
    snprintf(out->name, sizeof out->name, "%s", e->name);
    key_hex(e->model_key, out->digest);
    snprintf(out->dtype, sizeof out->dtype, "%s",
             e->decoder.config.compute == DT_BF16 ? "bf16" : "f32");
    snprintf(out->kv_dtype, sizeof out->kv_dtype, "%s", kv);
    snprintf(out->chunk_dtype, sizeof out->chunk_dtype, "%s",
             e->chunk == DT_ROW_INT8   ? "int8"
             : e->chunk == DT_ROW_INT4 ? "int4"
                                       : kv);
    snprintf(out->stored, sizeof out->stored, "%s",
             e->ids.quant ? quant_name(e->ids.quant)
                          : dtype_name(st_find(e->files, "text.embed_tokens.weight")->dtype));
    snprintf(out->cpu, sizeof out->cpu, "%s", device_name(e->device));
    out->threads = pool_threads(e->pool);
    out->parameters_vision = count(e, "visual.");
    out->parameters_embedding = count(e, "text.embed_tokens.") + count(e, "lm_head.");
    out->parameters_text = count(e, "text.") - count(e, "text.embed_tokens.") + count_layers(e);
    out->parameters = out->parameters_vision + out->parameters_embedding + out->parameters_text;
    out->weight_bytes = (int64_t)st_bytes(e->files);
    fill_text(e, out);
    fill_vision(e, out);
    out->session_seq_len = session_default_seq_len(e);
    out->session_bytes = (int64_t)session_bytes(e, &plain);
    snprintf(out->weights, sizeof out->weights, "%s", formats[e->decoder.layer[0].q.format]);
    out->weight_memory_bytes = (int64_t)e->weights_bytes;
    abi_give(to, bytes, &all, sizeof all);
    return VLQA_OK;
}
