/* reorder.c - whole images and documents in an order of their own: those that the question looks at
 * most stand next to it (InfoFlow KV's reordering). */
#include "fusion/reuse/ask.h"

#include <string.h>

struct evidence { /* of one item: rows that the first look chose, of how many */
    int chosen, rows;
};

/* The context of the first user turn: items [*first, *first + n). */
static int movable(const struct vlqa_session *s, int *first)
{
    int n = 0;
    for (*first = 0; *first < s->n_items && !plan_is_context(&s->item[*first]);)
        ++*first;
    while (*first + n < s->n_items && plan_is_context(&s->item[*first + n]) &&
           s->item[*first + n].turn == s->item[*first].turn)
        n++;
    return n;
}

/* Items stand in the prompt as in the conversation, each with one run of rows in chunks or, where
 * it is empty, with none. */
static void weigh(const struct ask *a, int first, int n, struct evidence *out)
{
    const struct layout *l = &a->layout;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++) {
        const struct session_item *item = &a->s->item[first + i];
        for (int p = 0; p < l->n_pieces; p++) {
            const struct piece *piece = &l->piece[p];
            if (piece->image != item->image || piece->text != item->document) continue;
            out[i].rows += piece->rows;
            for (int r = 0; r < piece->rows; r++)
                out[i].chosen += a->selected[l->piece_slot[piece->begin + r]] != 0;
        }
    }
}

static int denser(struct evidence a, struct evidence b)
{
    return (int64_t)a.chosen * (b.rows ? b.rows : 1) > (int64_t)b.chosen * (a.rows ? a.rows : 1);
}

/* Ascending, so that the densest comes last; equal ones stay as they were. Nonzero: it differs. */
static int sort_items(struct vlqa_session *s, int first, int n, const struct evidence *weight)
{
    int32_t *order = s->item_order;
    int moved = 0;
    for (int i = 0; i < s->n_items; i++)
        order[i] = i;
    for (int i = first + 1; i < first + n; i++)
        for (int at = i;
             at > first && denser(weight[order[at - 1] - first], weight[order[at] - first]); at--) {
            int32_t swap = order[at];
            order[at] = order[at - 1];
            order[at - 1] = swap;
            moved = 1;
        }
    return moved;
}

/* The first look: any row of the context may be chosen, by keys behind the prefix and the question
 * in its place (HL-TP). */
static vlqa_status look(struct ask *a)
{
    struct vlqa_ask_options o = a->o;
    vlqa_status status;
    if (a->o.reuse != VLQA_REUSE_PROPHET) a->o.reuse = VLQA_REUSE_INFOFLOW;
    a->o.geometry = VLQA_GEOMETRY_HLTP;
    a->o.budget_base = VLQA_BASE_CONTEXT;
    a->o.adaptive = a->o.taper = 0;
    a->o.dilate = 0;
    memset(a->layout.exact, 0, (size_t)a->layout.n);
    status = choose_rows(a, 1);
    a->o = o;
    a->n_selected = 0;
    return status;
}

/* What the chunks were when they were found, for as long as there is room for it. */
static void remember_chunks(struct ask *a)
{
    struct vlqa_placed_chunk *list = a->s->placed_chunk;
    int n = a->n_chunks, room = a->s->max_rows - n;
    a->n_chunks = a->n_before = 0;
    a->chunks_ram = a->chunks_disk = a->chunks_made = 0;
    if (n > room) return;
    memcpy(list + room, list, (size_t)n * sizeof *list);
    a->before = list + room;
    a->n_before = n;
}

vlqa_status ask_reorder(struct ask *a)
{
    struct vlqa_session *s = a->s;
    int first, n = movable(s, &first), moved;
    struct evidence *weight;
    size_t mark = arena_mark(&s->scratch);
    if (n < 2) {
        env_log(&s->env, VLQA_LOG_INFO, "reorder: %d image or document, nothing to reorder", n);
        return VLQA_OK;
    }
    chunk_place(a);
    TRY(look(a));
    weight = arena_push(&s->scratch, (size_t)n * sizeof *weight);
    weigh(a, first, n, weight);
    moved = sort_items(s, first, n, weight);
    arena_rewind(&s->scratch, mark);
    memset(a->selected, 0, (size_t)s->max_rows);
    a->score = NULL;
    remember_chunks(a);
    chunk_release(a);
    arena_rewind(&s->request, 0);
    a->item_order = moved ? s->item_order : NULL;
    TRY(ask_plan(a));
    return ask_fetch(a);
}
