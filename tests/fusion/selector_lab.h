/* selector_lab.h - questions about charts by the default model, and what they leave in the
 * session, for tests of how tokens are chosen. */
#ifndef TESTS_FUSION_SELECTOR_LAB_H
#define TESTS_FUSION_SELECTOR_LAB_H

#include "tests/device_memory.h"
#include "tests/fusion/sample_lab.h"

#define LAYERS 8

static inline int run_open(struct run *r, enum vlqa_dtype dtype)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = dtype;
    eo.threads = 1;
    return run_start(r, eo, 320);
}

/* A picture of 7 x 10 tokens, and with `many` a text and a second one. */
static inline void add(struct vlqa_session *s, int many)
{
    static const char note[] = "A means Apples and B means Bananas, sold in the north.";
    CHECK(vlqa_add_image_file(s, CHART("february")) == VLQA_OK);
    if (!many) return;
    CHECK(vlqa_add_text(s, note, sizeof note - 1) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, CHART("cows")) == VLQA_OK);
}

static inline struct vlqa_ask_options plan(enum reuse reuse, float ratio)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.halo = CHART_HALO;
    set_reuse(&o, reuse);
    o.recompute_ratio = ratio;
    o.chunker = VLQA_CHUNK_GRID;
    o.chunk_text_tokens = 8;
    o.max_tokens = 1;
    o.ignore_eos = 1;
    return o;
}

static inline struct vlqa_answer ask(struct vlqa_session *s, const struct vlqa_ask_options *o)
{
    struct vlqa_answer a = {0};
    if (vlqa_ask(s, QUESTION, o, &a, sizeof a) != VLQA_OK) CHECK_FAIL("ask: %s", vlqa_message(s));
    return a;
}

#define KV_ROWS 120
#define KV_CELLS (KV_ROWS * 256)

struct kv_copy { /* in f32, of the first tokens */
    float k[LAYERS][KV_CELLS], v[LAYERS][KV_CELLS];
};

static inline void kv_copy(const struct vlqa_session *s, int n, struct kv_copy *out)
{
    int cols = s->kv.k[0].cols;
    REQUIRE(s->kv.layers == LAYERS && n * cols <= KV_CELLS);
    for (int l = 0; l < LAYERS; l++) {
        device_floats(s->queue, mat_rows(s->kv.k[l], 0, n), out->k[l]);
        device_floats(s->queue, mat_rows(s->kv.v[l], 0, n), out->v[l]);
    }
}

static inline int same_row(const struct kv_copy *a, const struct kv_copy *b, int layer, int row,
                           int cols)
{
    size_t at = (size_t)row * (size_t)cols, bytes = (size_t)cols * sizeof(float);
    return memcmp(a->k[layer] + at, b->k[layer] + at, bytes) == 0 &&
           memcmp(a->v[layer] + at, b->v[layer] + at, bytes) == 0;
}

struct steps {
    int n;
    float logits[4][VOCAB];
};

static inline void keep_step(void *user, int step, const float *logits, int n)
{
    struct steps *steps = user;
    REQUIRE(step < 4 && n == VOCAB);
    memcpy(steps->logits[step], logits, sizeof steps->logits[step]);
    steps->n = step + 1;
}

#endif
