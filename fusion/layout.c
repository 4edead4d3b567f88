/* layout.c - slots count up, positions follow M-RoPE, spans are causal. */
#include "fusion/layout.h"

static void push_arrays(int n, struct arena *mem, struct layout *out)
{
    size_t rows = (size_t)n;
    out->token = arena_push(mem, rows * sizeof *out->token);
    out->visual_row = arena_push(mem, rows * sizeof *out->visual_row);
    out->slot = arena_push(mem, rows * sizeof *out->slot);
    out->pos = arena_push(mem, rows * sizeof *out->pos);
    out->span = arena_push(mem, rows * sizeof *out->span);
}

size_t layout_bytes(int n)
{
    struct arena dry = {0};
    struct layout l;
    push_arrays(n, &dry, &l);
    return dry.used;
}

void layout_build(const struct prompt *prompt, const struct layout_image *image, struct arena *mem,
                  struct layout *out)
{
    *out = (struct layout){
        prompt->n, prompt->prefix_end, prompt->context_end, NULL, NULL, NULL, NULL, NULL, 0};
    push_arrays(prompt->n, mem, out);
    for (int i = 0; i < prompt->n; i++) {
        int picture = prompt->image[i];
        out->token[i] = picture < 0 ? prompt->id[i] : -1;
        out->visual_row[i] = picture < 0 ? -1 : image[picture].first + prompt->cell[i];
        out->slot[i] = i;
        out->span[i] = (struct span){0, 0, i + 1};
        if (picture < 0)
            position_text(&out->next, 1, &out->pos[i]);
        else if (prompt->cell[i] == 0) /* its rows follow each other: all at once */
            position_image(&out->next, image[picture].grid, &out->pos[i]);
    }
}

struct rows layout_rows(const struct layout *l, int begin, int n)
{
    struct rows rows = {.n = n,
                        .token = l->token + begin,
                        .visual_row = l->visual_row + begin,
                        .pos = l->pos + begin,
                        .slot = l->slot + begin,
                        .span = l->span + begin};
    assert(begin >= 0 && n >= 1 && begin + n <= l->n);
    return rows;
}
