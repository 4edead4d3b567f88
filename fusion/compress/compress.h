/* compress.h - fewer tokens in the KV: which ones each layer and KV head keeps while an answer is
 * generated. A kept token moves to the first slots of its layer and head and is seen there; slots
 * are no positions, so nothing is computed anew. */
#ifndef FUSION_COMPRESS_H
#define FUSION_COMPRESS_H

#include "fusion/compress/keep.h"
#include "fusion/session/run.h"

struct compress { /* of one question */
    struct run run;
    const struct vlqa_experimental *x;
    int budget;
    int looked;  /* tokens whose attention, or entropy, is known already */
    int settled; /* tokens from this one on may go through again and stay the same: those of chunks
                  * would become other ones, as if they were recomputed */
    struct run_info info;
    struct mirror sum;  /* [layers * KV heads, max_seq_len] f32 by slot: what a probe counts */
    float *attention;   /* [layers * KV heads, max_seq_len] by number */
    int32_t *tail_text; /* [SESSION_PASS_TOKENS] -1: tokens of an answer are no visual ones */
    struct pos *tail_pos;
    uint8_t *every_layer; /* [layers] 1 */
    /* of a layer: [KV heads, max_seq_len] */
    int32_t *m; /* [KV heads] tokens that are there */
    int32_t *number, *order;
    float *observed, *score, *work;
    uint8_t *keep, *candidate, *more;
};

/* Work memory from the session's request arena; nothing is dropped yet. Where the options say that
 * nothing is compressed all of these do nothing. */
struct compress compress_begin(const struct run *run, const struct vlqa_experimental *x);
/* That memory of a session of max_seq_len, pushed on an empty workspace. */
void compress_measure(const struct vlqa_engine *e, int max_seq_len, struct workspace *dry);
/* Full prefill by a run of the same prompt, compressed after each kv_block tokens but the last
 * ones, with the logits of the last token. */
vlqa_status compress_prefill(struct compress *c, const struct run *by, float *logits);
/* Tokens [0, end) are in the KV: of the prompt, which ends there, or of the answer, whose ids are
 * answer [end - layout.n]; NULL: of the prompt. Down to the budget, where it is due. */
vlqa_status compress_tokens(struct compress *c, int end, const int32_t *answer);

#endif
