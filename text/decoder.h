/* decoder.h - the language model: weights, rows, and the one loop over decoder layers. */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "base/json.h"
#include "base/safetensors.h"
#include "kernels/backend.h"
#include "text/kv.h"
#include "text/position.h"

#define ROWS_MAX_DEEP 8

struct decoder_config {
    int hidden, inner, layers, heads, kv_heads, head_dim, vocab, max_positions, tied;
    float eps;
    struct rope_config rope;
    enum dtype compute; /* DT_F32 or DT_BF16: matrix inputs */
    enum dtype kv;      /* DT_F32 or DT_BF16: K and V; K is rounded before it is rotated */
};

struct decoder_layer {
    const float *input_norm;      /* [hidden] */
    const float *q_norm, *k_norm; /* [head_dim], shared by all heads */
    const float *post_norm;       /* [hidden] */
    struct mat q;                 /* [heads * head_dim, hidden] */
    struct mat k, v;              /* [kv_heads * head_dim, hidden] */
    struct mat o;                 /* [hidden, heads * head_dim] */
    struct mat gate, up;          /* [inner, hidden] */
    struct mat down;              /* [hidden, inner] */
};

struct decoder {
    struct decoder_config config;
    struct mat embed; /* [vocab, hidden] */
    struct decoder_layer layer[KV_MAX_LAYERS];
    const float *norm; /* [hidden] */
    struct mat head;   /* [vocab, hidden]; the embedding when tied */
};

struct rows { /* what goes through the decoder; index arrays are host memory */
    int n;
    const int32_t *token;           /* [n] id; negative: a visual row */
    const int32_t *visual_row;      /* [n] row of visual and deep; negative: text */
    struct mat visual;              /* [visual rows, hidden], or rows 0 */
    struct mat deep[ROWS_MAX_DEEP]; /* added to visual rows after layer 0, 1, ... */
    int n_deep;
    const struct pos *pos;   /* [n] how it is rotated */
    const int32_t *slot;     /* [n] where its K and V go */
    const struct span *span; /* [n] which slots it sees */
    /* [n] layers that it goes through whole; in the next one only its K and V are written, then it
     * leaves the pass, which ends when no row is left. NULL: all rows stay to the end */
    const int32_t *depth;
    const int32_t *capture_row; /* [n] where it goes in the pass's capture; negative: nowhere */
};

#define TAP_MAX_COUNTS 3

/* Attention of some rows of a pass in some layers. */
struct tap {
    const uint8_t *layer;    /* [layers] nonzero: counted */
    int first, rows;         /* rows [first, first + rows) of the pass ask; they stay to the end */
    const struct span *span; /* [rows] what their softmax is over; NULL: what they see */
    int n;
    struct tap_count { /* what is counted of it */
        enum score_value value;
        enum score_heads over_heads;
        enum score_rows over_rows;
        float *slot;       /* [slots] host memory, added to */
        size_t layer_step; /* layer i adds to slot + i * layer_step; 0: layers are summed */
    } count[TAP_MAX_COUNTS];
};

struct pass {
    struct rows rows;
    struct kv *kv;
    int layer_end; /* 0: all. A pass may stop early: its rows are then in the KV so far */
    struct kv_block *capture; /* optional out, of codes or values, by rows.capture_row */
    const struct tap *tap;    /* optional */
    float *logits; /* optional out, host memory: [vocab] of the last row, which stays to the end */
};

/* text_config of config.json; every rule of the format is checked. */
vlqa_status decoder_config_read(struct env *env, const struct json_doc *doc,
                                struct decoder_config *out);
/* Asks for every tensor with its full shape. mem takes norms, and matrices that must be converted
 * to the compute dtype; the others stay mapped. On a measuring arena nothing is converted. */
vlqa_status decoder_load(struct env *env, struct backend *be, struct st_files *files,
                         const struct decoder_config *config, struct arena *mem,
                         struct decoder *out);
/* Scratch of a pass of n rows, in bytes; a tap of n_query rows over a sequence of slots needs
 * decoder_tap_scratch more. */
size_t decoder_scratch(const struct decoder_config *c, int n);
size_t decoder_tap_scratch(const struct decoder_config *c, int n_query, int slots);
/* Multiplications and additions of a pass's rows in the layers, two for each pair: products with
 * weights, and attention over what a row sees. */
double decoder_flops(const struct decoder_config *c, const struct rows *rows, int layer_end);
/* The pass. rows.n >= 1. Scratch is rewound before returning. */
void decoder_forward(struct backend *be, const struct decoder *m, const struct pass *pass,
                     struct arena *scratch);

#endif
