/* layout.h - one request on paper: for every row its token or pixels, slot, position and span, and
 * which rows are computed together as a chunk. */
#ifndef FUSION_LAYOUT_H
#define FUSION_LAYOUT_H

#include "include/vlqa_experimental.h"
#include "text/decoder.h"
#include "text/prompt.h"

struct layout_image { /* of the conversation, in the order of the prompt's image numbers */
    struct grid grid; /* visual rows */
    int first;        /* its first row in the session's visual matrix */
    struct key key;   /* of its tower output */
};

struct box { /* cells of an image's grid */
    int y, x, h, w;
};

struct chunker {
    enum vlqa_chunker kind;
    int k, text_rows;
    enum vlqa_order order;
    int halo;
    const uint8_t *passage; /* [n] nonzero: a passage begins at this row; NULL: documents are one */
};

struct piece {       /* rows computed together, seeing the prefix, their halo and each other */
    int begin, rows; /* in piece_slot and piece_own */
    int image, text; /* of the conversation; one of them is negative */
    int index;       /* which piece of it, raster order */
    int item;        /* the first slot of that image or document */
    struct box box;  /* image: its cells */
    int first;       /* text: its first row in the document */
};

struct layout {
    int n, prefix_end, context_end;
    int question_end;    /* [context_end, question_end) are the question, the rest template */
    int32_t *token;      /* [n] id, or -1: a visual row */
    int32_t *visual_row; /* [n] row of the visual matrix, or -1: text */
    int32_t *row;        /* [n] of the prompt: the same number, but where chunks order the slots */
    int32_t *slot;       /* [n] by row of the prompt; all other arrays are by slot */
    struct pos *pos;     /* [n] */
    struct span *span;   /* [n] everything before and itself */
    int32_t next;        /* the position of the row after the last */

    int n_pieces, halo;
    struct piece *piece;
    int32_t *piece_slot;   /* slots of piece 0 ascending, of piece 1, ... */
    struct pos *piece_own; /* where a row stands when its chunk is made: right behind the prefix */
    uint8_t *in_piece;     /* [n] */
    uint8_t *exact;        /* [n] in a piece, and the chunk's row is what a full prefill gives */
};

struct made { /* what is computed to make a piece: ascending slots, positions as in piece_own */
    int n;
    int32_t *slot;
    struct pos *pos;
    int32_t *kept; /* [n] row of the piece; negative: of the halo, seen and not kept */
};

/* Arrays are pushed on mem: at most what layout_measure(n) takes, one struct made included. */
void layout_build(const struct prompt *prompt, const struct layout_image *image, struct arena *mem,
                  struct layout *out);
/* Cuts the context into pieces; to be called once, after layout_build. */
void layout_cut(struct layout *l, const struct prompt *prompt, const struct layout_image *image,
                const struct chunker *chunker, struct arena *mem);
/* A piece's rows and its halo: rows of the same image or document that stand before the last of
 * them and no further away than l->halo, in cells (the larger of lines and columns) or in rows of a
 * text. */
void layout_made(const struct layout *l, const struct piece *p, struct arena *mem,
                 struct made *out);
void layout_measure(int n, struct arena *dry);
/* Piece `index` of a grid of k x k cells (rows != 0: strips, k x 1), balanced, never empty. */
struct box layout_cell(struct grid grid, int k_rows, int k_cols, int index);

#endif
