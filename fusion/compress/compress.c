/* compress.c - when the KV is compressed, and what is known of its tokens by then. */
#include "fusion/compress/compress.h"

#include "fusion/compress/move.h"

#include <string.h>

#define LEAST_BUDGET 4

static size_t heads_of(const struct vlqa_engine *e)
{
    return (size_t)e->decoder.config.layers * (size_t)e->decoder.config.kv_heads;
}

static struct compress push(const struct vlqa_engine *e, int slots, struct workspace *ws)
{
    size_t n = (size_t)slots, layers = (size_t)e->decoder.config.layers;
    size_t of_layer = n * (size_t)e->decoder.config.kv_heads;
    struct arena *mem = &ws->host;
    struct compress c = {
        .sum = mirror_push(e->device, ws, heads_of(e) * n * sizeof(float)),
        .attention = arena_push(mem, heads_of(e) * n * sizeof(float)),
        .tail_text = arena_push(mem, SESSION_PASS_TOKENS * sizeof(int32_t)),
        .tail_pos = arena_push(mem, SESSION_PASS_TOKENS * sizeof(struct pos)),
        .every_layer = arena_push(mem, layers),
        .number = arena_push(mem, of_layer * sizeof(int32_t)),
        .m = arena_push(mem, (size_t)e->decoder.config.kv_heads * sizeof(int32_t)),
        .order = arena_push(mem, of_layer * sizeof(int32_t)),
        .observed = arena_push(mem, n * sizeof(float)),
        .score = arena_push(mem, of_layer * sizeof(float)),
        .work = arena_push(mem, n * sizeof(float)),
        .keep = arena_push(mem, of_layer),
        .candidate = arena_push(mem, of_layer),
        .more = arena_push(mem, of_layer),
    };
    c.info = (struct run_info){.entropy = arena_push(mem, n * sizeof(float)),
                               .change = arena_push(mem, layers * n * sizeof(float)),
                               .stride = slots};
    return c;
}

void compress_measure(const struct vlqa_engine *e, int max_seq_len, struct workspace *dry)
{
    (void)push(e, max_seq_len, dry);
}

/* A share of the prompt's tokens, where no number is given. */
static int budget_of(const struct vlqa_experimental *x, int prompt)
{
    int budget = x->kv_budget ? x->kv_budget : (int)((double)x->kv_ratio * prompt);
    return budget > LEAST_BUDGET ? budget : LEAST_BUDGET;
}

struct compress compress_begin(const struct run *run, const struct vlqa_experimental *x)
{
    struct vlqa_session *s = run->s;
    const struct vlqa_engine *e = s->engine;
    struct compress c = {.x = x};
    if (x->compress == VLQA_COMPRESS_OFF) return c;
    c = push(e, s->max_seq_len, &s->request);
    c.run = *run;
    c.run.last = NULL;
    c.x = x;
    c.budget = budget_of(x, run->layout->n);
    c.info.top = x->kv_top;
    memset(s->kept.n, 0, heads_of(e) * sizeof *s->kept.n);
    memset(c.every_layer, 1, (size_t)s->kv.layers);
    for (int i = 0; i < SESSION_PASS_TOKENS; i++)
        c.tail_text[i] = -1;
    return c;
}

/* ---- what the last tokens attend to ---- */

/* Tokens of the answer, as a layout of nothing else. */
static struct layout tail_of(const struct compress *c, int first, int n, const int32_t *answer)
{
    const struct layout *l = c->run.layout;
    for (int i = 0; i < n; i++) {
        int32_t at = l->next + first + i - l->n;
        c->tail_pos[i] = (struct pos){at, at, at};
    }
    return (struct layout){.n = n,
                           .token = (int32_t *)(uintptr_t)(answer + first - l->n),
                           .visual_row = c->tail_text,
                           .pos = c->tail_pos};
}

/* Tokens [first, first + n) again, over the KV as it is, which does not change; the last n_query of
 * them are observed. They are of the prompt, or all of the answer. */
static vlqa_status look_at(struct compress *c, int first, int n, int n_query, const int32_t *answer)
{
    struct vlqa_session *s = c->run.s;
    struct run run = c->run;
    int heads = (int)heads_of(s->engine), of_answer = first >= c->run.layout->n;
    struct layout tail;
    struct run_info info = c->info;
    struct probe probe = {.layer = c->every_layer,
                          .first = n - n_query,
                          .n_query = n_query,
                          .n = 1,
                          .count = {{.sum = mat_of(c->sum.at, DT_F32, heads, s->max_seq_len)}}};
    struct run_pass pass = {.begin = first, .probe = n_query ? &probe : NULL};
    if (of_answer) {
        tail = tail_of(c, first, n, answer);
        run.layout = &tail;
        run.flops = NULL; /* counts the prompt alone */
        pass.begin = 0;
        pass.write_at = kept_slot(&s->kept, first);
        info.entropy += first;
        info.change += first;
        if (c->x->compress == VLQA_COMPRESS_INFOKV) run.info = &info;
    }
    return run_pass(&run, "compress", n, &pass);
}

/* What each head's slots were attended to, by number of their tokens. */
static void take_attention(struct compress *c, int end)
{
    struct vlqa_session *s = c->run.s;
    const struct kept *k = &s->kept;
    size_t heads = heads_of(s->engine), stride = (size_t)s->max_seq_len;
    for (size_t head = 0; head < heads; head++) {
        const float *sum = (const float *)c->sum.host + head * stride;
        float *to = c->attention + head * stride;
        const int32_t *number = k->token + head * stride;
        for (int i = 0; i < k->n[head]; i++)
            to[number[i]] = sum[i] + (c->x->compress == VLQA_COMPRESS_H2O ? to[number[i]] : 0);
        for (int i = k->behind; i < end; i++)
            to[i] = sum[kept_slot(k, i)];
    }
}

static int window_of(const struct compress *c)
{
    int most = c->run.s->pass_tokens, window = c->x->kv_window;
    if (c->x->compress == VLQA_COMPRESS_TOVA) window = 1;
    return window < most ? window : most;
}

static int reads_attention(enum vlqa_compress by)
{
    return by != VLQA_COMPRESS_STREAMING && by != VLQA_COMPRESS_UNIFORM;
}

/* From which token on they go through again: the window, or all that came since the last time, none
 * of them from before that, for those have moved, and none that would be another one. */
static int look_from(const struct compress *c, int end, const int32_t *answer)
{
    int window = end - window_of(c), behind = c->run.s->kept.behind;
    int first = c->settled > behind ? c->settled : behind;
    int all = c->x->compress == VLQA_COMPRESS_H2O ||
              (c->x->compress == VLQA_COMPRESS_INFOKV && answer && c->looked < window);
    if (all) window = c->looked;
    return window > first ? window : first;
}

static vlqa_status look(struct compress *c, int end, const int32_t *answer)
{
    struct vlqa_session *s = c->run.s;
    int prompt = c->run.layout->n, batch = s->pass_tokens, n;
    if (!reads_attention(c->x->compress)) return VLQA_OK;
    queue_clear(s->queue, c->sum.at, c->sum.bytes);
    for (int at = look_from(c, end, answer); at < end; at += n) {
        int n_query = c->x->compress == VLQA_COMPRESS_H2O ? batch : window_of(c);
        n = (end - at - 1) % batch + 1; /* so that the last batch is a whole one */
        if (at < prompt && at + n > prompt) n = prompt - at;
        if (at + n < end && c->x->compress != VLQA_COMPRESS_H2O) n_query = 0;
        TRY(look_at(c, at, n, n_query < n ? n_query : n, answer));
    }
    c->looked = end;
    mirror_fetch(s->queue, c->sum);
    TRY(queue_sync(s->queue));
    take_attention(c, end);
    return VLQA_OK;
}

/* ---- what is kept ---- */

/* Heads of a layer keep the same. */
static void sum_heads(const struct compress *c, int heads, const int32_t *m)
{
    size_t stride = (size_t)c->run.s->max_seq_len;
    for (int head = 1; head < heads; head++)
        for (int i = 0; i < m[0]; i++)
            c->score[i] += c->score[(size_t)head * stride + (size_t)i];
    for (int head = 1; head < heads; head++)
        memcpy(c->score + (size_t)head * stride, c->score, (size_t)m[0] * sizeof *c->score);
}

/* The numbers of the tokens that lie there, and how many. */
static int list_tokens(const struct kept *k, size_t head, size_t stride, int end, int32_t *number)
{
    int n = k->n[head];
    memcpy(number, k->token + head * stride, (size_t)n * sizeof *number);
    for (int i = k->behind; i < end; i++)
        number[n++] = i;
    return n;
}

static void score_head(const struct compress *c, const struct keep_rule *rule, int budget,
                       size_t head, int m, const int32_t *number, float *score)
{
    const float *attention = c->attention + head * (size_t)c->run.s->max_seq_len;
    struct keep_tokens t = {.m = m, .number = number, .attention = c->observed};
    for (int i = 0; i < m; i++)
        c->observed[i] = attention[number[i]];
    if (c->x->kv_worst) budget = m - budget + rule->recent; /* tokens that go, and the last */
    keep_score(rule, &t, budget, score, c->work);
    for (int i = 0; i < m && c->x->kv_worst; i++)
        score[i] = -score[i];
}

/* Sets c->keep of a layer's heads; m [heads] tokens lie there. */
static void choose(const struct compress *c, int layer, int end, int32_t *m)
{
    const struct vlqa_session *s = c->run.s;
    int heads = s->engine->decoder.config.kv_heads, recent, budget;
    size_t stride = (size_t)s->max_seq_len;
    struct keep_rule rule = {.by = c->x->compress,
                             .share = c->x->kv_entropy,
                             .entropy = c->info.entropy,
                             .change = c->info.change + (size_t)layer * stride};
    rule.recent = recent = keep_recent(rule.by, c->x->kv_window, c->budget);
    budget = keep_budget(rule.by, c->budget, recent, s->kv.layers, layer);
    for (int head = 0; head < heads; head++) {
        size_t at = (size_t)head * stride, of_all = (size_t)(layer * heads + head);
        m[head] = list_tokens(&s->kept, of_all, stride, end, c->number + at);
        score_head(c, &rule, budget, of_all, m[head], c->number + at, c->score + at);
    }
    if (rule.by == VLQA_COMPRESS_TOVA) sum_heads(c, heads, m);
    if (c->x->kv_share && rule.by != VLQA_COMPRESS_TOVA) {
        struct keep_heads h = {heads,        s->max_seq_len, m,        c->score,
                               c->candidate, c->more,        c->order, c->keep};
        keep_together(&h, budget, recent);
        return;
    }
    for (int head = 0; head < heads; head++) {
        size_t at = (size_t)head * stride;
        keep_best(c->score + at, m[head], budget, recent, c->order, c->candidate, c->keep + at);
    }
}

/* Kept tokens of a layer's heads go to its first slots. */
static void move(const struct compress *c, int layer, const int32_t *m)
{
    struct vlqa_session *s = c->run.s;
    struct kept *k = &s->kept;
    int heads = s->engine->decoder.config.kv_heads;
    size_t stride = (size_t)s->max_seq_len;
    for (int head = 0; head < heads; head++) {
        size_t at = (size_t)head * stride, of_all = (size_t)(layer * heads + head);
        int n = 0, first = k->n[of_all];
        for (int i = 0; i < m[head]; i++) {
            if (!c->keep[at + (size_t)i]) continue;
            k->token[of_all * stride + (size_t)n] = c->number[at + (size_t)i];
            c->order[n++] = i < first ? i : i - first + k->base;
        }
        move_tokens(s, layer, head, n, c->order);
        k->n[of_all] = n;
    }
}

/* Down to the budget, in all layers. */
static vlqa_status drop(struct compress *c, int end)
{
    struct vlqa_session *s = c->run.s;
    struct kept *k = &s->kept;
    int used = kept_slot(k, end), base = 0;
    for (int layer = 0; layer < s->kv.layers; layer++) {
        choose(c, layer, end, c->m);
        move(c, layer, c->m);
    }
    for (size_t head = 0; head < heads_of(s->engine); head++)
        base = k->n[head] > base ? k->n[head] : base;
    k->base = base;
    k->behind = end;
    s->n_cached_prefix = 0;
    TRY(queue_sync(s->queue));
    move_forget(s, base, used);
    return VLQA_OK;
}

/* A layer may have more than the budget on the average, so tokens of an answer are counted. */
static int is_due(const struct compress *c, int end, const int32_t *answer)
{
    const struct kept *k = &c->run.s->kept;
    int more = k->behind ? end - k->behind : end - c->budget;
    if (end <= k->behind) return 0;
    return answer ? more >= c->x->kv_step : kept_slot(k, end) > c->budget;
}

vlqa_status compress_tokens(struct compress *c, int end, const int32_t *answer)
{
    if (c->x->compress == VLQA_COMPRESS_OFF || !is_due(c, end, answer)) return VLQA_OK;
    TRY(look(c, end, answer));
    return drop(c, end);
}

vlqa_status compress_prefill(struct compress *c, const struct run *by, float *logits)
{
    struct run run = *by;
    int n = run.layout->n, step = c->x->kv_block ? c->x->kv_block : n;
    if (c->x->compress == VLQA_COMPRESS_INFOKV) run.info = &c->info;
    for (int begin = 0, end; begin < n; begin = end) {
        struct run_pass pass = {.begin = begin};
        end = n - begin > step ? begin + step : n;
        if (end == n) pass.logits = logits;
        TRY(run_pass(&run, "prefill", end - begin, &pass));
        if (end < n) TRY(compress_tokens(c, end, NULL));
    }
    if (run.info) c->looked = n;
    return VLQA_OK;
}
