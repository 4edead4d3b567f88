/* layout.h - one request on paper: for every row its token or pixels, slot, position and span. */
#ifndef FUSION_LAYOUT_H
#define FUSION_LAYOUT_H

#include "text/decoder.h"
#include "text/prompt.h"

struct layout_image { /* of the conversation, in the order of the prompt's image numbers */
    struct grid grid; /* visual rows */
    int first;        /* its first row in the session's visual matrix */
};

struct layout {
    int n, prefix_end, context_end;
    int32_t *token;      /* [n] id, or -1: a visual row */
    int32_t *visual_row; /* [n] row of the visual matrix, or -1: text */
    int32_t *slot;       /* [n] */
    struct pos *pos;     /* [n] */
    struct span *span;   /* [n] everything before and itself */
    int32_t next;        /* the position of the row after the last */
};

/* Arrays are pushed on mem: layout_bytes(n). */
void layout_build(const struct prompt *prompt, const struct layout_image *image, struct arena *mem,
                  struct layout *out);
size_t layout_bytes(int n);
/* Rows [begin, begin + n) as they go through the decoder; the visual matrices are the caller's. */
struct rows layout_rows(const struct layout *l, int begin, int n);

#endif
