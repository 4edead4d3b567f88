/* decoder.h - the language model: weights, tokens, and the one loop over decoder layers. */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "base/json.h"
#include "kernels/weights.h"
#include "text/kv.h"
#include "text/position.h"
#include "text/shares.h"

#define DECODER_MAX_DEEP 8

/* Outputs of a layer's products that one of so many ranks computes: heads with those that share
 * their keys, else blocks of weights. */
struct decoder_parts {
    struct comm_part q, hidden, inner, vocab;
};

struct decoder_config {
    int hidden, inner, layers, heads, kv_heads, head_dim, vocab, max_positions, tied;
    float eps;
    struct rope_config rope;
    enum dtype compute; /* DT_F32 or DT_BF16: matrix inputs */
    enum dtype kv;      /* DT_F32 or DT_BF16: K and V; K is rounded before it is rotated */
    /* What matrices of floats become, of the layers, and embedding and head: as weights.wanted. */
    enum weight_format layer_weights, head_weights;
    /* Of q, o, gate, up, down and a head that is not tied this process holds the part of one of so
     * many ranks, and passes are divided among them; ranks 0: it holds all. */
    int ranks, rank;
};

struct decoder_layer {
    struct mat input_norm;     /* [1, hidden] */
    struct mat q_norm, k_norm; /* [1, head_dim], shared by all heads */
    struct mat post_norm;      /* [1, hidden] */
    struct weight q;           /* [heads * head_dim, hidden] */
    struct weight k, v;        /* [kv_heads * head_dim, hidden] */
    struct weight o;           /* [hidden, heads * head_dim] */
    struct weight gate, up;    /* [inner, hidden] */
    struct weight down;        /* [hidden, inner] */
};

struct decoder {
    struct decoder_config config;
    struct weight embed; /* [vocab, hidden] */
    struct decoder_layer layer[KV_MAX_LAYERS];
    struct mat norm;         /* [1, hidden] */
    struct weight head;      /* [vocab, hidden]; the embedding when tied */
    struct mat rope_inverse; /* [3, head_dim / 2]: what turns a head, by t, h and w */
};

struct tokens { /* what goes through the decoder; arrays are host memory, read while it is called */
    int n;
    const int32_t *token;              /* [n] id; negative: a visual token */
    const int32_t *visual_row;         /* [n] row of visual and deep; negative: text */
    struct mat visual;                 /* [visual tokens, hidden], or tokens 0 */
    struct mat deep[DECODER_MAX_DEEP]; /* added to visual tokens after layer 0, 1, ... */
    int n_deep;
    const struct pos *pos;   /* [n] how it is rotated */
    const int32_t *slot;     /* [n] where its K and V go */
    const struct span *span; /* [n] which slots it sees */
    /* [n] layers that it goes through whole; in the next one only its K and V are written, then it
     * leaves the pass, which ends when no token is left. NULL: all tokens stay to the end */
    const int32_t *depth;
    const int32_t *capture_row; /* [n] where it goes in the pass's capture; negative: nowhere.
                                 * Tokens that go there follow each other in it, and write K and V
                                 * in every layer of the pass */
};

#define PROBE_MAX_COUNTS 3

/* Attention of some tokens of a pass in some layers. */
struct probe {
    const uint8_t *layer; /* [layers] nonzero: counted */
    int first, n_query;   /* tokens [first, first + tokens) of the pass ask; they stay to the end */
    const struct span *span; /* [rows] what their softmax is over; NULL: what they see */
    int n;
    struct probe_count { /* what is counted of it */
        enum score_value value;
        enum score_heads over_heads;
        enum score_rows over_rows;
        struct mat sum; /* [1, layers or layers * KV heads, slots] f32, added to: layers summed,
                         * each by itself, or each KV head of each by itself */
    } count[PROBE_MAX_COUNTS];
};

/* What InfoKV (arXiv 2606.26875) asks of each token of a pass, for host memory. */
struct pass_info {
    int top;        /* the likeliest next tokens that the entropy is over */
    float *entropy; /* [n] of what follows the token, in nats */
    float *change;  /* [layers, stride] 1 - cos(hidden state before the layer, behind it) */
    int stride;
};

struct pass {
    struct tokens tokens;
    struct kv *kv;
    int decode;    /* nonzero: tokens of an answer, one by one; their KV is for this answer alone
                    * where device_decodes_apart */
    int layer_end; /* 0: all. A pass may stop early: its tokens are then in the KV so far */
    int divided; /* nonzero: all ranks make the pass, and each computes some outputs of products */
    /* [layers, KV heads] of the slots of a token's first interval those in front that are seen in
     * that layer with that head, or NULL: all. What is counted is then by KV head. Not on several
     * ranks. */
    const int32_t *kept;
    /* Several ranks make the pass, each with tokens of its own; or NULL: this one has all. */
    const struct shares *shares;
    /* Optional outs in host memory: to be read after queue_sync. */
    struct kv_block *capture;  /* values or token-quantised ones, by tokens.capture_row */
    float *logits;             /* [vocab] of the last token, which stays to the end; on all ranks */
    const struct probe *probe; /* optional */
    const struct pass_info *info; /* optional; all tokens stay to the end */
};

/* text_config of config.json; every rule of the format is checked. */
vlqa_status decoder_config_read(struct env *env, const struct json_doc *doc,
                                struct decoder_config *out);
/* Asks for every tensor with its full shape: one pass of the inventory. w->compute is the config's.
 */
vlqa_status decoder_load(struct weights *w, const struct decoder_config *config,
                         struct decoder *out);
struct decoder_parts decoder_parts(const struct decoder_config *c, int ranks, int rank);
/* Nonzero: products of this model can be divided, as heads end where blocks of weights do. */
int decoder_divides(const struct decoder_config *c);
/* The products of a pass, for device_expect. */
vlqa_status decoder_expect(struct env *env, struct device *d, const struct decoder *m);
/* The largest pass of a sequence. */
struct pass_size {
    int n, ranks; /* tokens, on each of so many ranks */
    int n_query;  /* of its probe; 0: without */
    int slots;
    int kept; /* nonzero: over a KV that may be compressed */
    int info; /* nonzero: with a struct pass_info */
};
/* What such a pass takes of ws while it runs, counted into the peaks of a measuring workspace. */
void decoder_measure(const struct device *d, const struct decoder_config *c,
                     const struct pass_size *size, struct workspace *dry);
/* Multiplications and additions of a pass's tokens in the layers, two for each pair: products with
 * weights, and attention over what a token sees. */
double decoder_flops(const struct decoder_config *c, const struct tokens *tokens, int layer_end);
/* The pass, enqueued. tokens.n >= 1. ws is rewound before returning. */
void decoder_forward(struct queue *q, const struct decoder *m, const struct pass *pass,
                     struct workspace *ws);

#endif
