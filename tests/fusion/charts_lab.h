/* charts_lab.h - a question about two charts and a note, to one process or to several. */
#ifndef TESTS_FUSION_CHARTS_LAB_H
#define TESTS_FUSION_CHARTS_LAB_H

#include "tests/fusion/ranks_lab.h"

static enum vlqa_dtype format = VLQA_DTYPE_BF16; /* of the question that comes next */
static enum reuse reuse = REUSE_OFF;
static int pass_tokens, divided;
static enum vlqa_weights weights;

static const char note[] = "The note says: A means Apples and B means Bananas, sold in the north.";

static inline void ask_about(struct vlqa_session *s, struct outcome *out)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    o.max_tokens = 6;
    o.ignore_eos = 1;
    o.halo = CHART_HALO;
    o.chunk_text_tokens = 8;
    set_reuse(&o, reuse);
    out->status = vlqa_ask(s, QUESTION, &o, &a, sizeof a);
    snprintf(out->message, sizeof out->message, "%s", vlqa_message(s));
    if (out->status == VLQA_OK) take_answer(&a, out);
    if (out->status == VLQA_OK) out->computed = a.chunks_computed;
}

static inline void about_charts(struct vlqa_ranks *ranks, struct outcome *out)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct run r;
    eo.dtype = format;
    eo.weights = weights;
    eo.threads = 1;
    eo.ranks = ranks;
    vlqa_ranks_divide_weights(ranks, divided);
    eo.no_cache = reuse == REUSE_OFF;
    if (!run_start(&r, eo, 640)) return;
    if (pass_tokens) r.session->pass_tokens = pass_tokens;
    add_image(r.session, CHART("february"));
    add_text(r.session, note);
    add_image(r.session, CHART("cows"));
    ask_about(r.session, out);
    out->weight_bytes = r.engine->weights_bytes;
    run_close(&r);
}

#endif
