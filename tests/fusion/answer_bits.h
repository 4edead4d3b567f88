/* answer_bits.h - what a model directory answers, to the bit, and why another is refused. */
#ifndef TESTS_FUSION_ANSWER_BITS_H
#define TESTS_FUSION_ANSWER_BITS_H

#include "tests/check.h"
#include "tests/fusion/fixture.h"

#define ANSWER_CHART VLQA_SOURCE_DIR "/tests/charts/february.png"
#define MOST_LOGITS 4096

struct answer_bits {
    float logits[MOST_LOGITS];
    int32_t token[4];
    int n_logits, n_tokens, chunks_disk, visual_disk;
    struct vlqa_model_info info;
};

struct setting {
    const char *model, *cache;
    enum vlqa_weights weights, head;
    enum vlqa_dtype dtype;
    int threads;
};

/* The first logits and tokens over a picture. Nonzero: there; else the reason is a failure. */
static inline int answer_of(struct setting s, struct answer_bits *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_engine *engine = NULL;
    struct vlqa_session *session = NULL;
    struct vlqa_answer a;
    vlqa_status status;
    eo.model = s.model;
    eo.weights = s.weights;
    eo.head_weights = s.head;
    eo.dtype = s.dtype;
    eo.threads = s.threads;
    eo.cache_dir = s.cache;
    eo.no_cache = !s.cache;
    so.max_seq_len = 512;
    o.max_tokens = 4;
    o.ignore_eos = 1;
    o.reuse = s.cache ? VLQA_REUSE_ON : VLQA_REUSE_OFF;
    status = vlqa_engine_open(&eo, &engine);
    if (status == VLQA_OK) status = vlqa_engine_info(engine, &out->info, sizeof out->info);
    if (status == VLQA_OK) status = vlqa_session_open(engine, &so, &session);
    if (status == VLQA_OK) status = vlqa_add_image_file(session, ANSWER_CHART);
    if (status == VLQA_OK) status = vlqa_add_image_file(session, ANSWER_CHART);
    if (status == VLQA_OK) status = vlqa_ask(session, "What is it?", &o, &a, sizeof a);
    if (status != VLQA_OK) {
        CHECK_FAIL("%s: %s %s", s.model, vlqa_engine_message(engine), vlqa_message(session));
    } else {
        out->n_logits = a.n_logits;
        out->n_tokens = a.n_tokens;
        out->chunks_disk = a.chunks_disk;
        out->visual_disk = a.visual_disk;
        memcpy(out->logits, a.logits, (size_t)a.n_logits * sizeof *a.logits);
        memcpy(out->token, a.token, (size_t)a.n_tokens * sizeof *a.token);
    }
    vlqa_session_close(session);
    vlqa_engine_close(engine);
    return status == VLQA_OK;
}

static inline int same_bits(const struct answer_bits *a, const struct answer_bits *b)
{
    return a->n_logits == b->n_logits && a->n_tokens == b->n_tokens &&
           memcmp(a->logits, b->logits, (size_t)a->n_logits * sizeof *a->logits) == 0 &&
           memcmp(a->token, b->token, (size_t)a->n_tokens * sizeof *a->token) == 0;
}

static inline void check_refused(const char *model, enum vlqa_weights weights, const char *part)
{
    struct vlqa_engine_options o = vlqa_engine_options_default();
    struct vlqa_engine *engine;
    o.model = model;
    o.weights = weights;
    CHECK_EQ(vlqa_engine_open(&o, &engine), VLQA_EMODEL);
    CHECK_HAS(vlqa_engine_message(engine), part);
    vlqa_engine_close(engine);
}

#endif
