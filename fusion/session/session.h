/* session.h - one conversation: its images and texts, its KV, its memory. Internal to fusion. */
#ifndef FUSION_SESSION_H
#define FUSION_SESSION_H

#include "fusion/engine/engine.h"
#include "fusion/layout/layout.h"
#include "fusion/session/kept.h"
#include "text/sampler.h"

#include <stdatomic.h>

#define SESSION_MAX_SEQ_LEN (1 << 20)
#define SESSION_DEFAULT_SEQ_LEN 32768
#define SESSION_MAX_ITEMS 4096
#define SESSION_MAX_STAND_INS 64
#define SESSION_PASS_TOKENS 512 /* at once through the decoder; changes no result */

struct session_item { /* part of a turn, in the order of the conversation */
    enum prompt_role role;
    int turn;
    const char *text; /* in session->text, or NULL: an image */
    size_t bytes;
    int image, document; /* the id of one to be read; both are negative in other parts of a turn */
};

struct vlqa_session {
    struct env env;
    struct vlqa_session_options options;
    struct vlqa_engine *engine;
    struct queue *queue;
    atomic_int busy;     /* in a call */
    int together;        /* which all ranks make (together.h) */
    atomic_int refusing; /* to be closed meanwhile: the log is being told */
    int max_seq_len;
    int pass_tokens; /* that go through the decoder together: SESSION_PASS_TOKENS; fewer in tests */

    struct device_room memory; /* for everything below */
    struct kv kv;
    struct kept kept; /* has memory in a session that is open to experiments */
    struct mat visual, deep[DECODER_MAX_DEEP]; /* [max_seq_len, hidden] of all images, one by one */
    char *text;                                /* every text of the conversation */
    size_t text_cap, text_used;
    struct session_item *item;     /* [SESSION_MAX_ITEMS + 1]: room for the question */
    struct layout_image *image;    /* [SESSION_MAX_ITEMS] */
    struct layout_image *stand_in; /* [SESSION_MAX_STAND_INS] of all conversations of the session */
    int n_stand_ins, stand_in_tokens; /* visual tokens, in front of those of the conversation */
    int32_t *item_order;              /* [SESSION_MAX_ITEMS] of a question that reorders them */
    int n_items, n_images, n_documents, visual_tokens, turn;
    char *answer;                         /* UTF-8 of the last answer */
    int32_t *answer_token, *prompt_token; /* [max_seq_len] */
    float *logits, *first_logits;         /* [vocab] */
    int32_t *cached_prefix; /* [max_seq_len] token, or -1 - visual token, of the leading slots whose
                      KV is what a full prefill would have left there */
    int n_cached_prefix;
    struct mirror attention;  /* [max_seq_len] f32 by slot: of the last token of the prompt */
    uint8_t *attention_layer; /* [layers] which ones count there */
    float *token_score;       /* [max_seq_len] of the last answer */
    uint8_t *token_selected;  /* [max_seq_len] */
    struct vlqa_placed_image *placed_image; /* [SESSION_MAX_ITEMS] */
    struct vlqa_placed_chunk *placed_chunk; /* [max_seq_len] of the last answer */
    struct vlqa_evidence *evidence;         /* [EVIDENCE_MAX] */
    struct workspace request;               /* the paper of one question */
    struct workspace scratch;               /* of one call below */

    struct vlqa_image_info last_image;
    double ms_decode_image, ms_vision;
    int visual_ram, visual_disk, visual_computed;
};

/* VLQA_ESTATE when the session is in use or belongs to another process; else it is marked. */
vlqa_status session_enter(struct vlqa_session *s);
vlqa_status session_leave(struct vlqa_session *s, vlqa_status status);
/* VLQA_ELIMIT when no item more fits. */
vlqa_status session_check_items(struct vlqa_session *s);
/* Copies a text to the end of the conversation's current turn. */
vlqa_status session_append(struct vlqa_session *s, enum prompt_role role, const char *utf8,
                           size_t bytes);

#endif
