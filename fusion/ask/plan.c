/* plan.c - the conversation and a question as a prompt and its layout, in the order of the items or
 * in another. */
#include "fusion/ask/plan.h"

#include "text/utf8.h"

#include <string.h>

struct turns {
    struct prompt_turn *turn;
    struct prompt_item *item;
    int n;
};

static struct turns push_turns(size_t items, struct arena *mem)
{
    return (struct turns){.turn = arena_push(mem, items * sizeof(struct prompt_turn)),
                          .item = arena_push(mem, items * sizeof(struct prompt_item))};
}

void plan_measure(struct arena *dry)
{
    (void)push_turns(SESSION_MAX_ITEMS + 1, dry);
}

int plan_is_context(const struct session_item *item)
{
    return item->image >= 0 || item->document >= 0;
}

/* The items of the conversation, and the question behind them, as turns. */
static void collect_turns(struct vlqa_session *s, const char *question, const int32_t *order,
                          struct turns *out)
{
    int last = -1;
    s->item[s->n_items] =
        (struct session_item){PROMPT_USER, s->turn, question, strlen(question), -1, -1};
    for (int i = 0; i <= s->n_items; i++) {
        int at = order && i < s->n_items ? order[i] : i;
        const struct session_item *from = &s->item[at];
        struct prompt_item *item = &out->item[i];
        *item =
            (struct prompt_item){from->text, from->bytes, 0, plan_is_context(from), from->document};
        if (from->image >= 0) {
            struct grid grid = s->image[from->image].grid;
            item->tokens = grid.h * grid.w;
            item->id = from->image;
        }
        if (from->turn != last) out->turn[out->n++] = (struct prompt_turn){from->role, item, 0};
        out->turn[out->n - 1].n_items++;
        last = from->turn;
    }
}

static vlqa_status check_question(struct vlqa_session *s, const char *question)
{
    size_t bytes = strlen(question), valid = utf8_valid(question, bytes);
    if (bytes > s->text_cap)
        return env_fail(&s->env, VLQA_ELIMIT,
                        "the question has %zu bytes; a session of %d tokens takes %zu", bytes,
                        s->max_seq_len, s->text_cap);
    if (valid < bytes)
        return env_fail(&s->env, VLQA_ETEXT, "the question is not UTF-8 at byte %zu", valid);
    return VLQA_OK;
}

/* A chunk is computed behind them, in the slots of the session. */
static vlqa_status check_stand_ins(struct vlqa_session *s, int tokens,
                                   const struct stand_ins *stand)
{
    int64_t takes = s->stand_in_tokens + 2 * stand->n + 1;
    if (!stand->n || tokens + takes <= s->max_seq_len) return VLQA_OK;
    return env_fail(&s->env, VLQA_ELIMIT,
                    "a prompt of %d tokens and %lld of stand-ins, expected at most %d of both (a "
                    "larger max_seq_len, or fewer stand-ins)",
                    tokens, (long long)takes, s->max_seq_len);
}

vlqa_status plan_build(struct vlqa_session *s, const char *question, const int32_t *order,
                       struct prompt *prompt, struct layout *layout)
{
    struct vlqa_engine *e = s->engine;
    struct turns t = push_turns((size_t)s->n_items + 1, &s->request.host);
    struct stand_ins stand = {s->stand_in, s->n_stand_ins, e->tokens.vision_start,
                              e->tokens.vision_end};
    TRY(check_question(s, question));
    collect_turns(s, question, order, &t);
    TRY(prompt_build(&s->env, e->tokenizer, &e->tokens, t.turn, t.n, s->max_seq_len,
                     &s->request.host, &s->scratch.host, prompt));
    memcpy(s->prompt_token, prompt->id, (size_t)prompt->n * sizeof *s->prompt_token);
    TRY(check_stand_ins(s, prompt->n, &stand));
    layout_build(prompt, s->image, &stand, &s->request.host, layout);
    for (int i = 0; i < prompt->n; i++)
        if (prompt->cell[i] == 0) s->placed_image[prompt->image[i]].first_token = i;
    layout->question_end = prompt->question_end;
    return VLQA_OK;
}
