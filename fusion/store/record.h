/* record.h - what the store keeps, and under which name: immutable once published. */
#ifndef FUSION_RECORD_H
#define FUSION_RECORD_H

#include "base/hash.h"
#include "kernels/tensor.h"

enum record_kind {
    RECORD_VISUAL = 1, /* output of the tower for an image: exact, small */
    RECORD_CHUNK = 2   /* a segment in the decoder: K before RoPE, V, of every layer;
                          DT_ROW_INT8, DT_ROW_INT4: quantised */
};

#define RECORD_MAX_MATS 512

/* Made by the store: one block with the matrices' table and the matrices, each 64-byte aligned.
 * VISUAL: visual tokens, then their DeepStack features. CHUNK: k and v of layer 0, of layer 1, ...
 */
struct record {
    struct key key;
    enum record_kind kind;
    int rows;
    struct grid grid; /* of visual tokens; {0, 0} for text */
    int n_mats;
    struct host_mat
        *mat;     /* [n_mats], each [rows, its own cols], no padding between rows; one dtype */
    size_t bytes; /* of the block */
};

struct record_shape { /* all that decides the size of a record */
    enum record_kind kind;
    int rows;
    struct grid grid;
    int n_mats;
    const int *cols; /* [n_mats] */
    enum dtype dtype;
};

/* Whether it is of exactly this shape. */
int record_fits(const struct record *record, const struct record_shape *shape);

/* Everything that the bytes of a record depend on; what is not here must not matter. Hashed field
 * by field, never with padding. */
struct key_parts {
    enum record_kind kind;
    struct key model;   /* weights, configuration, tokenizer */
    struct key content; /* pixels after decoding with their size, or token ids */
    struct key prefix;  /* the tokens before a chunk; zero for VISUAL */
    int32_t arithmetic; /* version of the code's roundings */
    int32_t weights;    /* formats of the decoder's in memory, where they are quantised; else 0 */
    int32_t cpu;        /* instruction set: sums differ in the last bits */
    enum dtype compute, stored;
    int32_t resize, image_mode;      /* of preprocessing */
    int32_t width, height;           /* after resizing */
    struct grid grid;                /* of visual tokens of the whole image */
    int32_t chunker, k, index, halo; /* which segment of it */
    const char *salt;                /* tenant; NULL: none */
};

struct key key_of(const struct key_parts *parts);

/* One matrix after the other, from *at on: its bytes, and *at moved to where the next begins, a
 * multiple of 64. 0 when that does not fit in memory. */
int record_step(size_t *at, int rows, int cols, enum dtype dtype, size_t *bytes);

#endif
