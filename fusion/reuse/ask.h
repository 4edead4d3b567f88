/* ask.h - one call of vlqa_ask, shared by the files that carry it out. */
#ifndef FUSION_ASK_H
#define FUSION_ASK_H

#include "fusion/session/session.h"
#include "fusion/store/record.h"
#include "fusion/store/store.h"
#include "text/utf8.h"

struct ask {
    struct vlqa_session *s;
    struct vlqa_ask_options o;
    const char *question;
    struct prompt prompt;
    struct layout layout;
    const int32_t *item_order; /* [n_items] which item stands there, or NULL: each in its place */
    int question_end; /* rows [context_end, question_end) are the question, the rest template */

    const struct record **chunk; /* [n_pieces] pinned, NULL where none is held */
    float *score;                /* [n] by slot, in the end by row; NULL: nothing was scored */
    uint8_t *selected;           /* [n] likewise: the look at which it was chosen, or 0; NULL with
                                    reuse off */
    uint8_t *depth;              /* [n] layers that the repair writes of a row; NULL: all */
    int32_t *list;               /* [n] slots of a pass */
    int answered;                /* s->first_logits are of the KV as it is */
    int n_selected, n_recomputed;
    int exact; /* the KV of all rows is what a full prefill leaves */
    int chunks_ram, chunks_disk, chunks_made;
    int n_chunks;                           /* of them, in s->placed_chunk */
    const struct vlqa_placed_chunk *before; /* [n_before] as they were before they were reordered */
    int n_before;
    int n_evidence;

    struct sampler sampler;
    struct utf8_stream utf8;
    size_t text_bytes;
    int n_tokens;
    enum vlqa_stop stop;
    double begin, first_token, prefilled;
    double flops;
    double ms_chunks, ms_assemble, ms_score, ms_repair;
};

/* Behind the last layer of a set of vlqa.h; 0: there is none. */
int ask_layer_end(const uint64_t set[2]);

/* How rows go through the decoder besides what the layout says of them. */
struct ask_pass {
    const int32_t *row;    /* [n] ascending slots of the layout */
    const struct pos *pos; /* [n] other positions, or NULL */
    int slot;              /* -1: their own slots; else slot, slot + 1, ... seeing all before */
    int layer_end;
    int see_end;          /* 0: each sees what is before; else all slots up to here */
    int no_deep;          /* nonzero: visual rows without their DeepStack rows */
    const uint8_t *depth; /* by slot, of the layout: layers whose K and V are written; NULL: all */
    struct kv_block *capture;
    const int32_t *capture_row; /* [n] */
    const struct tap *tap;      /* its rows are of all n, and in the last batch */
    float *logits;
};

/* The prompt, in the order of the items or of a->item_order, and its layout. */
vlqa_status ask_plan(struct ask *a);
size_t ask_plan_bytes(void);
int plan_is_context(const struct session_item *item);
/* Puts whole images and documents into another order and has their chunks again. */
vlqa_status ask_reorder(struct ask *a);
/* Cuts the context, runs the prefix and has every chunk: pinned, not placed. */
vlqa_status ask_fetch(struct ask *a);
/* The prompt into the KV, a->s->first_logits out. */
vlqa_status ask_prefill(struct ask *a);
vlqa_status ask_generate(struct ask *a);
int ask_is_end(const struct ask *a, int32_t id); /* the model ends its turn with it */
/* The row of the last token of the answer. tap may be NULL. */
void ask_decode_row(struct ask *a, int32_t id, const struct tap *tap);
/* The same, and with KVShare the rows that are repaired behind it. */
vlqa_status ask_decode(struct ask *a, int32_t id);
/* One text row behind all others; its logits go to a->s->logits. tap may be NULL. */
void ask_row(struct ask *a, int32_t id, int32_t slot, int32_t position, const struct tap *tap);

/* The rows chosen in this round, those between chunks and the question, in one pass: each sees
 * fresh KV of all of them before it. */
vlqa_status ask_repair(struct ask *a, int round);
/* Chooses and repairs as a->o.parity has it. *mark: when the last step ended. */
vlqa_status parity_repair(struct ask *a, double *mark);
double ask_since(double *mark); /* milliseconds; moves it to now */

/* Runs n rows in batches of s->pass_rows; the cuts change no bit. phase: for progress. */
vlqa_status ask_run(struct ask *a, const char *phase, int n, const struct ask_pass *pass);

/* Chunks of every piece, from the store or made and stored; pinned in a->chunk. */
vlqa_status chunk_fetch(struct ask *a);
/* Writes them to their slots at their positions. */
void chunk_place(struct ask *a);
/* The same for rows [begin, begin + n) of a piece, at most SESSION_PASS_ROWS. */
void chunk_place_rows(struct ask *a, int piece, int begin, int n);
void chunk_release(struct ask *a);

/* Sets a->selected to `round` (1, 2, ... with adaptive) for the rows that the reuse option
 * picks now, and their a->depth: what attention, deviation or order say. The chunks are in place,
 * and the rows of earlier rounds are repaired. */
vlqa_status choose_rows(struct ask *a, int round);

#endif
