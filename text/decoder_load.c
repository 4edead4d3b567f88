/* decoder_load.c - text_config and the weights of the language model: the inventory. */
#include "text/decoder.h"

#include <math.h>
#include <string.h>

/* transformers 4.57 writes rope_scaling and a top-level rope_theta, 5.x rope_parameters. */
static vlqa_status rope_read(struct env *env, const struct json_doc *doc, const struct json *text,
                             struct rope_config *out)
{
    const struct json *rope = json_get(text, "rope_parameters");
    const char *type = "default";
    int n = 0, interleaved = 1;
    if (!rope) rope = json_get(text, "rope_scaling");
    if (json_kind(rope) != JSON_OBJECT)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: text_config has neither rope_parameters nor rope_scaling");
    TRY(json_want_double(env, doc, json_get(rope, "rope_theta") ? rope : text, "rope_theta", 1.0,
                         1e12, &out->theta));
    TRY(json_opt_string(env, doc, rope, "type", &type));
    TRY(json_opt_string(env, doc, rope, "rope_type", &type));
    if (strcmp(type, "default") != 0 && strcmp(type, "mrope") != 0)
        return env_fail(env, VLQA_EMODEL, "config.json: rope_type is \"%s\", expected \"default\"",
                        type);
    TRY(json_opt_bool(env, doc, rope, "mrope_interleaved", &interleaved));
    if (!interleaved)
        return env_fail(env, VLQA_EMODEL, "config.json: mrope_interleaved is false, expected true");
    if (json_get(rope, "mrope_section")) {
        TRY(json_want_ints(env, doc, rope, "mrope_section", 0, ROPE_MAX_HALF, 3, out->section, &n));
        if (n != 3)
            return env_fail(env, VLQA_EMODEL,
                            "config.json: mrope_section has %d numbers, expected 3", n);
    } else if (out->dim == 128) {
        memcpy(out->section, (int[3]){24, 20, 20}, sizeof out->section);
    } else {
        return env_fail(env, VLQA_EMODEL, "config.json: mrope_section is missing (head_dim is %d)",
                        out->dim);
    }
    if (out->section[0] + out->section[1] + out->section[2] != out->dim / 2)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: mrope_section sums to %d, expected head_dim / 2 = %d",
                        out->section[0] + out->section[1] + out->section[2], out->dim / 2);
    return VLQA_OK;
}

/* What would change the computation if it were set otherwise. */
static vlqa_status check_variant(struct env *env, const struct json_doc *doc,
                                 const struct json *text)
{
    const char *act = "silu";
    int bias = 0;
    TRY(json_opt_string(env, doc, text, "hidden_act", &act));
    if (strcmp(act, "silu") != 0)
        return env_fail(env, VLQA_EMODEL, "config.json: hidden_act is \"%s\", expected \"silu\"",
                        act);
    TRY(json_opt_bool(env, doc, text, "attention_bias", &bias));
    if (bias)
        return env_fail(env, VLQA_EMODEL, "config.json: attention_bias is true, expected false");
    return VLQA_OK;
}

vlqa_status decoder_config_read(struct env *env, const struct json_doc *doc,
                                struct decoder_config *out)
{
    const struct json *root = json_root(doc), *text;
    struct decoder_config c = {0};
    double eps = 0;
    TRY(json_want_object(env, doc, root, "text_config", &text));
    TRY(json_want_int(env, doc, text, "vocab_size", 8, 1 << 20, &c.vocab));
    TRY(json_want_int(env, doc, text, "hidden_size", 1, 1 << 16, &c.hidden));
    TRY(json_want_int(env, doc, text, "intermediate_size", 1, 1 << 18, &c.inner));
    TRY(json_want_int(env, doc, text, "num_hidden_layers", 1, KV_MAX_LAYERS, &c.layers));
    TRY(json_want_int(env, doc, text, "num_attention_heads", 1, 1024, &c.heads));
    TRY(json_want_int(env, doc, text, "num_key_value_heads", 1, 1024, &c.kv_heads));
    TRY(json_want_int(env, doc, text, "head_dim", 2, ROPE_MAX_HALF, &c.head_dim));
    TRY(json_want_double(env, doc, text, "rms_norm_eps", 0.0, 1.0, &eps));
    c.max_positions = 1 << 18;
    TRY(json_opt_int(env, doc, text, "max_position_embeddings", 1, 1 << 24, &c.max_positions));
    TRY(json_opt_bool(env, doc, text, "tie_word_embeddings", &c.tied));
    TRY(json_opt_bool(env, doc, root, "tie_word_embeddings", &c.tied));
    if (c.head_dim % 2)
        return env_fail(env, VLQA_EMODEL, "config.json: head_dim is %d, expected an even number",
                        c.head_dim);
    if (c.heads % c.kv_heads)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: num_attention_heads is %d, expected a multiple of "
                        "num_key_value_heads = %d",
                        c.heads, c.kv_heads);
    if (c.heads / c.kv_heads > ATTN_MAX_GROUP)
        return env_fail(env, VLQA_EMODEL,
                        "config.json: %d attention heads share a key-value head, expected at most "
                        "%d",
                        c.heads / c.kv_heads, ATTN_MAX_GROUP);
    c.eps = (float)eps;
    c.rope.dim = c.head_dim;
    TRY(rope_read(env, doc, text, &c.rope));
    TRY(check_variant(env, doc, text));
    *out = c;
    return VLQA_OK;
}

/* ---- weights ---- */

struct decoder_parts decoder_parts(const struct decoder_config *c, int ranks, int rank)
{
    int head = c->heads / c->kv_heads * c->head_dim;
    return (struct decoder_parts){comm_part_of(c->heads * c->head_dim, head, ranks, rank),
                                  comm_part_of(c->hidden, WEIGHT_BLOCK, ranks, rank),
                                  comm_part_of(c->inner, WEIGHT_BLOCK, ranks, rank),
                                  comm_part_of(c->vocab, WEIGHT_BLOCK, ranks, rank)};
}

int decoder_divides(const struct decoder_config *c)
{
    return c->heads / c->kv_heads * c->head_dim % WEIGHT_BLOCK == 0;
}

/* Outputs that this rank computes of the matrix `name`, with the number i in it. */
static vlqa_status get_part(struct weights *w, const struct decoder_config *c, struct weight *out,
                            const struct comm_part *rows, int cols, const char *name, int i)
{
    struct weight_part part = {rows->begin, rows->n};
    vlqa_status status;
    w->part = c->ranks > 1 ? &part : NULL;
    status = weights_get2(w, out, rows->all, cols, name, i);
    w->part = NULL;
    return status;
}

static vlqa_status layer_load(struct weights *w, const struct decoder_config *c, int i,
                              struct decoder_layer *out)
{
    int kv_dim = c->kv_heads * c->head_dim, hidden = c->hidden;
    struct decoder_parts p = decoder_parts(c, c->ranks > 1 ? c->ranks : 1, c->rank);
    TRY(weights_vector(w, &out->input_norm, hidden, "text.layers.%d.input_layernorm.weight", i));
    TRY(get_part(w, c, &out->q, &p.q, hidden, "text.layers.%d.self_attn.q_proj.weight", i));
    TRY(weights_get2(w, &out->k, kv_dim, hidden, "text.layers.%d.self_attn.k_proj.weight", i));
    TRY(weights_get2(w, &out->v, kv_dim, hidden, "text.layers.%d.self_attn.v_proj.weight", i));
    TRY(weights_vector(w, &out->q_norm, c->head_dim, "text.layers.%d.self_attn.q_norm.weight", i));
    TRY(weights_vector(w, &out->k_norm, c->head_dim, "text.layers.%d.self_attn.k_norm.weight", i));
    TRY(get_part(w, c, &out->o, &p.hidden, p.q.all, "text.layers.%d.self_attn.o_proj.weight", i));
    TRY(weights_vector(w, &out->post_norm, hidden, "text.layers.%d.post_attention_layernorm.weight",
                       i));
    TRY(get_part(w, c, &out->gate, &p.inner, hidden, "text.layers.%d.mlp.gate_proj.weight", i));
    TRY(get_part(w, c, &out->up, &p.inner, hidden, "text.layers.%d.mlp.up_proj.weight", i));
    return get_part(w, c, &out->down, &p.hidden, c->inner, "text.layers.%d.mlp.down_proj.weight",
                    i);
}

static int has_head(const struct st_files *files)
{
    return st_has(files, "lm_head.weight") || st_has(files, "lm_head.weight_packed");
}

vlqa_status decoder_load(struct weights *w, const struct decoder_config *config,
                         struct decoder *out)
{
    float inverse[3 * ROPE_MAX_HALF];
    int vocab = config->vocab, hidden = config->hidden;
    struct decoder_parts p =
        decoder_parts(config, config->ranks > 1 ? config->ranks : 1, config->rank);
    assert(w->compute == config->compute);
    out->config = *config;
    w->wanted = config->head_weights;
    TRY(weights_get2(w, &out->embed, vocab, hidden, "text.embed_tokens.weight"));
    w->wanted = config->layer_weights;
    for (int i = 0; i < config->layers; i++)
        TRY(layer_load(w, config, i, &out->layer[i]));
    w->wanted = config->head_weights;
    TRY(weights_vector(w, &out->norm, hidden, "text.norm.weight"));
    rope_inverse(&config->rope, inverse);
    weights_constant(w, &out->rope_inverse, 3, config->head_dim / 2, inverse);
    out->config.tied = config->tied || !has_head(w->files);
    if (out->config.tied) {
        out->head = out->embed;
        st_ignore(w->files, "lm_head.weight"); /* a re-saved copy: transformers ties all the same */
    } else {
        TRY(get_part(w, config, &out->head, &p.vocab, hidden, "lm_head.weight", 0));
    }
    w->wanted = WEIGHT_F32;
    return VLQA_OK;
}

vlqa_status decoder_expect(struct env *env, struct device *d, const struct decoder *m)
{
    enum dtype x = m->config.compute;
    for (int i = 0; i < m->config.layers; i++) {
        const struct decoder_layer *l = &m->layer[i];
        const struct weight sums[] = {l->k, l->q, l->o, l->gate, l->up, l->down};
        for (size_t j = 0; j < sizeof sums / sizeof *sums; j++)
            if (sums[j].rows) TRY(device_expect(env, d, sums[j], x, 0));
        if (m->config.kv == DT_F32) TRY(device_expect(env, d, l->v, x, 0));
    }
    return device_expect(env, d, m->head, x, 0);
}
