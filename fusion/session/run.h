/* run.h - tokens of a request through the decoder, in batches of bounded size. */
#ifndef FUSION_RUN_H
#define FUSION_RUN_H

#include "fusion/session/session.h"

struct run {
    struct vlqa_session *s;
    const struct layout *layout;
    double *flops; /* what goes through the layers is added, captures aside; NULL: not counted */
    /* Of the last token of each run_pass that gives logits and has no probe of its own: the sums of
     * this one, its `first` aside, are cleared and then count it. NULL: nothing is counted */
    const struct probe *last;
    /* Of tokens that are neither captured nor decoded: what InfoKV asks for, by number of the
     * token. All of them go through all layers then. NULL: nothing is asked for */
    const struct run_info *info;
};

struct run_info {
    int top;        /* as struct pass_info has it */
    float *entropy; /* [max_seq_len] */
    float *change;  /* [layers, stride] */
    int stride;
};

struct run_pass {          /* what the layout does not say of the tokens of a pass */
    const int32_t *slot;   /* [n] ascending slots of the layout; NULL: begin, begin + 1, ... */
    int begin;             /* where slot is NULL */
    const struct pos *pos; /* [n] other positions, or NULL */
    int write_at;          /* 0: K and V go to their slots; else to write_at, write_at + 1, ... */
    int layer_end;         /* 0: all layers */
    int see_end;           /* 0: each sees what is before it; else all slots up to here */
    int no_deep;           /* nonzero: visual tokens without their DeepStack features */
    const uint8_t *depth;  /* by slot of the layout: layers whose K and V are written; NULL: all */
    struct kv_block *capture;
    const int32_t *capture_row; /* [n] */
    int alone; /* nonzero: of this rank, as a pass that captures; it does not count, either */
    const struct probe *probe; /* its tokens are of all n, and in the last batch */
    float *logits;             /* [vocab] of the last token, or NULL */
};

/* What a batch takes of the scratch while it runs, counted into the peaks of an empty workspace;
 * experimental: of a KV that is compressed, too. */
void run_measure(const struct vlqa_engine *e, int max_seq_len, int experimental,
                 struct workspace *dry);
/* Runs n tokens in batches of s->pass_tokens; the cuts change no bit. phase: for progress. What was
 * written may be read afterwards. */
vlqa_status run_pass(const struct run *r, const char *phase, int n, const struct run_pass *pass);
/* One text token behind all others, in a decode pass; its logits go to s->logits, to be read after
 * queue_sync. probe may be NULL. number: the slot that it has where nothing was dropped. */
void run_token(const struct run *r, int32_t id, int32_t number, int32_t position,
               const struct probe *probe);

#endif
