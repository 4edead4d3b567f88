/* reorder.c - a first round of selection weighs images and documents; the densest comes last. */
#include "fusion/ask/reorder.h"

#include "fusion/ask/fetch.h"
#include "fusion/ask/plan.h"

#include <string.h>

struct evidence { /* of one item: tokens that the first selection round chose, of how many */
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

/* Items stand in the prompt as in the conversation, each with one run of tokens in chunks or, where
 * it is empty, with none. */
static void weigh(const struct ask *a, const uint8_t *selected, int first, int n,
                  struct evidence *out)
{
    const struct layout *l = &a->layout;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int i = 0; i < n; i++) {
        const struct session_item *item = &a->s->item[first + i];
        for (int p = 0; p < l->n_segments; p++) {
            const struct segment *segment = &l->segment[p];
            if (segment->image != item->image || segment->text != item->document) continue;
            out[i].rows += segment->tokens;
            for (int r = 0; r < segment->tokens; r++)
                out[i].chosen +=
                    selected[l->prompt_index[l->segment_slot[segment->begin + r]]] != 0;
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

/* The first round: any token of the context may be chosen, by keys behind the prefix and the
 * question in its place (HL-TP). */
static vlqa_status choose_first(const struct ask *a, struct choice *first)
{
    struct vlqa_ask_options o = a->o;
    struct vlqa_experimental x = a->x;
    struct view view = a->view;
    if (x.variant != VLQA_VARIANT_PROPHET) x.variant = VLQA_VARIANT_INFOFLOW;
    x.geometry = VLQA_GEOMETRY_HLTP;
    x.budget_base = VLQA_BASE_CONTEXT;
    o.adaptive = x.taper = 0;
    x.closing = 0;
    view.o = &o;
    view.x = &x;
    view.exact_too = 1;
    *first = choose_begin(&view);
    return select_tokens(&view, 1, first);
}

/* Takes the chunks off the answer's list; what they were when they were found is kept behind it,
 * for as long as there is room for it. */
static struct chunk_list take_chunks(struct ask *a)
{
    struct vlqa_placed_chunk *list = a->s->placed_chunk;
    struct vlqa_answer *answer = &a->answer;
    int n = answer->n_chunks, room = a->s->max_seq_len - n;
    answer->n_chunks = answer->chunks_ram = answer->chunks_disk = answer->chunks_computed = 0;
    if (n > room) return (struct chunk_list){NULL, 0};
    memcpy(list + room, list, (size_t)n * sizeof *list);
    return (struct chunk_list){list + room, n};
}

vlqa_status reorder_items(struct ask *a)
{
    struct vlqa_session *s = a->s;
    int first, n = movable(s, &first), moved;
    struct choice look;
    struct evidence *weight;
    struct chunk_list before;
    struct workspace_used mark = workspace_mark(&s->scratch);
    if (n < 2) {
        env_log(&s->env, VLQA_LOG_INFO, "reorder: %d image or document, nothing to reorder", n);
        return VLQA_OK;
    }
    chunk_place(&a->view);
    TRY(choose_first(a, &look));
    weight = arena_push(&s->scratch.host, (size_t)n * sizeof *weight);
    weigh(a, look.selected, first, n, weight);
    moved = sort_items(s, first, n, weight);
    workspace_rewind(&s->scratch, mark);
    before = take_chunks(a);
    TRY(chunk_release(&a->view));
    workspace_rewind(&s->request, (struct workspace_used){0, 0});
    TRY(plan_build(s, a->question, moved ? s->item_order : NULL, &a->prompt, &a->layout));
    return fetch_context(a, before);
}
