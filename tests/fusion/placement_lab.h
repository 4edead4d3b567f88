/* placement_lab.h - the default model over charts, for tests of where chunks are placed. */
#ifndef TESTS_FUSION_PLACEMENT_LAB_H
#define TESTS_FUSION_PLACEMENT_LAB_H

#include "base/heap.h"
#include "tests/device_memory.h"
#include "tests/fusion/sample_lab.h"

#define GRID_H 7 /* of the chart february, right behind a prefix of 4 tokens */
#define GRID_W 10
#define PREFIX 4

static inline int run_open(struct run *r, enum vlqa_dtype dtype)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.dtype = dtype;
    eo.threads = 2;
    return run_start(r, eo, 640);
}

static const char note[] = "The note says: A means Apples and B means Bananas, sold in the north.";

static inline void add_many(struct vlqa_session *s)
{
    add_image(s, CHART("february"));
    CHECK(vlqa_add_text(s, note, sizeof note - 1) == VLQA_OK);
    add_image(s, CHART("cows"));
}

static inline struct vlqa_ask_options plan(enum reuse reuse, enum vlqa_chunker chunker, int k,
                                           float ratio)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.halo = CHART_HALO;
    o.max_tokens = 2;
    o.ignore_eos = 1;
    set_reuse(&o, reuse);
    o.chunker = chunker;
    o.chunk_k = k;
    o.recompute_ratio = ratio;
    o.chunk_text_tokens = 8;
    return o;
}

static inline struct vlqa_answer ask(struct vlqa_session *s, struct vlqa_ask_options o,
                                     float *logits)
{
    struct vlqa_answer answer = {0};
    if (vlqa_ask(s, QUESTION, &o, &answer, sizeof answer) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    else
        memcpy(logits, answer.logits, VOCAB * sizeof *logits);
    return answer;
}

static inline int same(const float *a, const float *b)
{
    return memcmp(a, b, VOCAB * sizeof *a) == 0;
}

#endif
