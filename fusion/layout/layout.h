/* layout.h - one request on paper: for every token its id or pixels, slot, position and span,
 * and which tokens are computed together as a chunk. */
#ifndef FUSION_LAYOUT_H
#define FUSION_LAYOUT_H

#include "include/vlqa_experimental.h"
#include "text/decoder.h"
#include "text/prompt.h"

struct layout_image { /* of the conversation, in the order of the prompt's image numbers */
    struct grid grid; /* visual tokens */
    int first;        /* its first row in the session's visual matrix */
    struct key key;   /* of its tower output */
};

struct stand_ins { /* images that no prompt has: chunks that stand behind others are computed in
                    * their sight, for want of what will be there */
    const struct layout_image *image;
    int n;
    int32_t vision_start, vision_end;
};

struct box { /* cells of an image's grid */
    int y, x, h, w;
};

#define LAYOUT_HALO_AUTO (-1)

struct chunker {
    enum vlqa_chunker kind;
    int k, text_tokens;
    enum vlqa_order order;
    int halo;      /* LAYOUT_HALO_AUTO: 9 in 20 of an image's shorter side, and 4 at least */
    int stand_ins; /* at most so many, the first of the session's */
    const uint8_t
        *passage; /* [n] nonzero: a passage begins at this token; NULL: documents are one */
};

struct segment {       /* tokens computed together, seeing the prefix, their halo and each other */
    int begin, tokens; /* in segment_slot and segment_own */
    int image, text;   /* of the conversation; one of them is negative */
    int index;         /* which segment of it, raster order */
    int item;          /* the first slot of that image or document */
    struct box box;    /* image: its cells */
    int first;         /* text: its first token in the document */
    int halo;          /* how far it sees: never LAYOUT_HALO_AUTO */
    int stand_ins;     /* that its chunk sees between the prefix and itself */
    int behind;        /* tokens of these */
};

struct layout {
    int n, prefix_end, context_end;
    int question_end;    /* [context_end, question_end) are the question, the rest template */
    int32_t *token;      /* [n] id, or -1: a visual token */
    int32_t *visual_row; /* [n] row of the visual matrix, or -1: text */
    int32_t
        *prompt_index; /* [n] of the prompt: the same number, but where chunks order the slots */
    int32_t *slot;     /* [n] by token of the prompt; all other arrays are by slot */
    struct pos *pos;   /* [n] */
    struct span *span; /* [n] everything before and itself */
    int32_t next;      /* the position of the token after the last */

    int n_segments;
    struct segment *segment;
    int32_t *segment_slot; /* slots of segment 0 ascending, of segment 1, ... */
    struct pos
        *segment_own; /* where a token stands when its chunk is computed: right behind the prefix */
    uint8_t *in_segment; /* [n] */
    uint8_t *exact;      /* [n] in a segment, and the chunk's token is what a full prefill gives */

    /* token, visual_row and pos have stand-ins behind the prompt, [n, n + stand_tokens): as if they
     * stood behind the prefix, with a vision_start behind the last */
    struct stand_ins stand;
    int stand_tokens, stand_open; /* nonzero: the prefix ends with the first vision_start */
};

struct chunk_input { /* what goes through the decoder for a chunk: ascending slots, positions of
                        segment_own; behind stand-ins an image has their last vision_start in front
                      */
    int n;
    int32_t *slot;
    struct pos *pos;
    int32_t *kept; /* [n] token of the segment; negative: seen and not kept */
};

/* Arrays are pushed on mem: at most what layout_measure(n + stand_tokens) takes, with one struct
 * chunk_input. stand: NULL for none. */
void layout_build(const struct prompt *prompt, const struct layout_image *image,
                  const struct stand_ins *stand, struct arena *mem, struct layout *out);
/* Cuts the context into segments; to be called once, after layout_build. */
void layout_cut(struct layout *l, const struct prompt *prompt, const struct layout_image *image,
                const struct chunker *chunker, struct arena *mem);
/* A segment's tokens and its halo: tokens of the same image or document that come before its last
 * one and are no further away than p->halo, in cells (the larger of lines and columns) or in tokens
 * of a text. */
void layout_chunk_input(const struct layout *l, const struct segment *p, struct arena *mem,
                        struct chunk_input *out);
void layout_measure(int n, struct arena *dry);
/* Segment `index` of a grid of k x k cells (rows != 0: strips, k x 1), balanced, never empty. */
struct box layout_cell(struct grid grid, int k_rows, int k_cols, int index);

#endif
