/* fetch.c - segments of the context, the exact prefix that chunks see, and the chunks. */
#include "fusion/ask/fetch.h"

#include "fusion/layout/passage.h"
#include "fusion/session/cached_prefix.h"

#include <string.h>

static int stand_ins_of(const struct ask *a)
{
    int64_t asked = a->x.stand_ins, n = a->layout.stand.n;
    return (int)(asked == 0 || asked > n ? n : asked < 0 ? 0 : asked);
}

static void cut_context(struct ask *a)
{
    struct vlqa_session *s = a->s;
    struct workspace_used mark = workspace_mark(&s->scratch);
    uint8_t *passage = arena_push(&s->scratch.host, (size_t)a->prompt.n);
    struct chunker chunker = {.kind = a->o.chunker,
                              .k = a->o.chunk_k,
                              .text_tokens = a->o.chunk_text_tokens,
                              .order = a->x.order,
                              .halo = a->o.halo,
                              .stand_ins = stand_ins_of(a)};
    if (a->o.text_chunker == VLQA_TEXT_PASSAGE) {
        passage_mark(s->engine->tokenizer, &a->prompt, passage);
        chunker.passage = passage;
    }
    layout_cut(&a->layout, &a->prompt, s->image, &chunker, &s->request.host);
    workspace_rewind(&s->scratch, mark);
}

vlqa_status fetch_context(struct ask *a, struct chunk_list before)
{
    struct vlqa_session *s = a->s;
    struct layout *l = &a->layout;
    double mark = env_ms();
    int cached = cached_prefix_count(s, l);
    cut_context(a);
    if (dtype_is_quantised(s->engine->chunk)) memset(l->exact, 0, (size_t)l->n); /* fewer bits */
    a->view.list = arena_push(&s->request.host, (size_t)l->n * sizeof *a->view.list);
    if (cached < l->prefix_end)
        TRY(cached_prefix_extend(&a->view.run, "prefix", cached, l->prefix_end, NULL));
    s->n_cached_prefix = l->prefix_end;
    TRY(chunk_fetch(&a->view, before));
    a->answer.ms_chunks += env_since(&mark);
    return VLQA_OK;
}
