/* test_compress.c - a KV of fewer tokens: what is kept keeps its bits, what is dropped is as if it
 * were not seen, and memory goes back. */
#include "fusion/session/session.h"

#include "tests/check.h"
#include "tests/fusion/default_model.h"
#include "tests/fusion/options.h"

#include <sys/mman.h>
#include <unistd.h>

#define QUESTION "What is the title of the first image?"
#define STEPS 24

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
};

static int threads = 1;
static enum vlqa_dtype dtype = VLQA_DTYPE_AUTO;

static int run_open(struct run *r)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = session_options();
    eo.model = MODEL;
    eo.dtype = dtype;
    eo.threads = threads;
    so.max_seq_len = 1024;
    r->session = NULL;
    if (vlqa_engine_open(&eo, &r->engine) != VLQA_OK)
        CHECK_FAIL("engine: %s", vlqa_engine_message(r->engine));
    else if (vlqa_session_open(r->engine, &so, &r->session) != VLQA_OK)
        CHECK_FAIL("session: %s", vlqa_message(r->session));
    else {
        CHECK_EQ(vlqa_add_image_file(r->session, CHART("february")), VLQA_OK);
        CHECK_EQ(vlqa_add_image_file(r->session, CHART("cows")), VLQA_OK);
        CHECK_EQ(vlqa_add_image_file(r->session, CHART("fish")), VLQA_OK);
    }
    return !check_failures;
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
}

struct outcome { /* of an answer of `steps` tokens */
    int n, tokens_total, exact;
    int32_t token[STEPS];
    float logits[STEPS][VOCAB];
};

static void note_logits(void *user, int step, const float *logits, int n)
{
    struct outcome *out = user;
    if (step < STEPS) memcpy(out->logits[step], logits, (size_t)n * sizeof *logits);
}

/* Full prefill unless told otherwise; the answer is forced where tokens are known. */
static struct vlqa_ask_options options(enum vlqa_compress by, int budget)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_experimental *x = experimental(&o);
    o.max_tokens = STEPS;
    o.ignore_eos = 1;
    o.reuse = VLQA_REUSE_OFF;
    x->compress = by;
    x->kv_budget = budget;
    x->kv_window = 8;
    x->kv_step = 8;
    return o;
}

static vlqa_status ask(struct run *r, struct vlqa_ask_options *o, struct outcome *out)
{
    struct vlqa_answer a;
    vlqa_status status;
    o->on_logits = note_logits;
    o->user = out;
    status = vlqa_ask(r->session, QUESTION, o, &a, sizeof a);
    if (status != VLQA_OK) return status;
    out->n = a.n_tokens;
    out->exact = a.exact;
    out->tokens_total = a.tokens_total;
    memcpy(out->token, a.token, (size_t)a.n_tokens * sizeof *a.token);
    return VLQA_OK;
}

static struct outcome *ask_new(struct run *r, struct vlqa_ask_options o)
{
    struct outcome *out = calloc(1, sizeof *out);
    if (!out) abort();
    if (ask(r, &o, out) != VLQA_OK) CHECK_FAIL("ask: %s", vlqa_message(r->session));
    return out;
}

static int same(const struct outcome *a, const struct outcome *b)
{
    return a->n == b->n && memcmp(a->logits, b->logits, sizeof a->logits) == 0;
}

static const enum vlqa_compress all[] = {
    VLQA_COMPRESS_INFOKV,    VLQA_COMPRESS_SNAPKV, VLQA_COMPRESS_H2O,    VLQA_COMPRESS_PYRAMIDKV,
    VLQA_COMPRESS_STREAMING, VLQA_COMPRESS_TOVA,   VLQA_COMPRESS_UNIFORM};
#define N_ALL (int)(sizeof all / sizeof *all)

TEST(a_budget_for_all_changes_no_bit)
{
    struct run r;
    struct outcome *full;
    REQUIRE(run_open(&r));
    full = ask_new(&r, options(VLQA_COMPRESS_OFF, 0));
    CHECK_EQ(full->exact, 1);
    for (int i = 0; i < N_ALL; i++) {
        struct outcome *o = ask_new(&r, options(all[i], 512));
        if (!same(full, o) || o->exact != 1) CHECK_FAIL("compress %d differs", (int)all[i]);
        free(o);
    }
    free(full);
    run_close(&r);
}

/* And so a next question finds nothing missing. */
TEST(a_compressed_answer_leaves_no_trace)
{
    struct run r;
    struct outcome *full, *again;
    REQUIRE(run_open(&r));
    full = ask_new(&r, options(VLQA_COMPRESS_OFF, 0));
    for (int i = 0; i < N_ALL; i++) {
        struct outcome *o = ask_new(&r, options(all[i], 24));
        CHECK_EQ(o->exact, 0);
        if (memcmp(full->logits, o->logits, sizeof full->logits[0]) != 0)
            CHECK_FAIL("compress %d: the first token is of the whole KV", (int)all[i]);
        if (same(full, o)) CHECK_FAIL("compress %d dropped nothing", (int)all[i]);
        again = ask_new(&r, options(VLQA_COMPRESS_OFF, 0));
        CHECK(same(full, again));
        free(again);
        free(o);
    }
    free(full);
    run_close(&r);
}

static uint8_t *copy_of(const struct vlqa_session *s, struct mat m)
{
    size_t bytes = mat_bytes(m.dtype, m.rows, m.cols);
    uint8_t *copy = malloc(bytes);
    if (!copy) abort();
    CHECK_EQ(queue_read(s->queue, copy, m), VLQA_OK);
    return copy;
}

/* Each KV head's kept rows of a layer are those of their tokens before. */
static void check_rows(const struct vlqa_session *s, struct mat now, const uint8_t *before,
                       int layer)
{
    int heads = s->engine->decoder.config.kv_heads, dim = s->engine->decoder.config.head_dim;
    size_t cell = (size_t)dim * dtype_size(now.dtype), row = cell * (size_t)heads;
    uint8_t *rows = copy_of(s, now);
    for (int head = 0; head < heads; head++) {
        size_t of_all = (size_t)(layer * heads + head);
        const int32_t *number = s->kept.token + of_all * (size_t)s->max_seq_len;
        for (int i = 0; i < s->kept.n[of_all]; i++) {
            const uint8_t *at = rows + (size_t)i * row + (size_t)head * cell;
            const uint8_t *from = before + (size_t)number[i] * row + (size_t)head * cell;
            if (memcmp(at, from, cell) != 0)
                CHECK_FAIL("layer %d, head %d: slot %d is not token %d", layer, head, i, number[i]);
            if (i && number[i] <= number[i - 1]) CHECK_FAIL("token %d is not behind", number[i]);
        }
    }
    free(rows);
}

static void check_kept(enum reuse reuse, int window)
{
    struct run r;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_OFF, 0);
    struct vlqa_session *s;
    uint8_t *k[KV_MAX_LAYERS], *v[KV_MAX_LAYERS];
    if (!run_open(&r)) return;
    s = r.session;
    o.max_tokens = 1;
    set_reuse(&o, reuse);
    free(ask_new(&r, o));
    for (int i = 0; i < s->kv.layers; i++) {
        k[i] = copy_of(s, s->kv.k[i]);
        v[i] = copy_of(s, s->kv.v[i]);
    }
    for (int by = 0; by < 2 * N_ALL; by++) {
        struct outcome *out;
        if (reuse != REUSE_OFF && all[by / 2] == VLQA_COMPRESS_INFOKV) continue;
        o = options(all[by / 2], 40);
        o.max_tokens = 1;
        set_reuse(&o, reuse);
        experimental(&o)->kv_window = experimental(&o)->kv_step = window;
        experimental(&o)->kv_share = by % 2;
        out = ask_new(&r, o);
        CHECK_EQ(s->kept.behind, out->tokens_total);
        CHECK(s->kept.base >= 40 && s->kept.base < out->tokens_total);
        for (int i = 0; i < s->kv.layers; i++) {
            check_rows(s, s->kv.k[i], k[i], i);
            check_rows(s, s->kv.v[i], v[i], i);
        }
        free(out);
    }
    for (int i = 0; i < s->kv.layers; i++) {
        free(k[i]);
        free(v[i]);
    }
    run_close(&r);
}

TEST(kept_tokens_keep_their_bits)
{
    check_kept(REUSE_OFF, 8);
}

/* What is observed goes through again: tokens of chunks would be recomputed by that. */
TEST(kept_tokens_of_chunks_keep_their_bits)
{
    check_kept(REUSE_NONE, 8);
    check_kept(REUSE_NONE, 128);
    check_kept(REUSE_INFOFLOW, 128);
}

/* The first layer's rows depend on nothing else; 211 tokens in blocks of 30 leave one behind. */
TEST(blocks_move_tokens_and_overwrite_none)
{
    struct run r;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_OFF, 0);
    uint8_t *k, *v;
    REQUIRE(run_open(&r));
    o.max_tokens = 1;
    free(ask_new(&r, o));
    k = copy_of(r.session, r.session->kv.k[0]);
    v = copy_of(r.session, r.session->kv.v[0]);
    for (int i = 0; i < 3 * N_ALL; i++) {
        o = options(all[i / 3], 24);
        o.max_tokens = 1;
        experimental(&o)->kv_block = 30 + i % 3;
        experimental(&o)->kv_window = experimental(&o)->kv_step = 24; /* 12 of them are kept */
        free(ask_new(&r, o));
        CHECK(r.session->kept.base >= 24);
        check_rows(r.session, r.session->kv.k[0], k, 0);
        check_rows(r.session, r.session->kv.v[0], v, 0);
    }
    free(k);
    free(v);
    run_close(&r);
}

/* StreamingLLM keeps two intervals, which a span says of the whole KV, too. */
TEST(dropped_is_not_seen)
{
    static float masked[VOCAB];
    enum { BUDGET = 40, SINKS = 4 };
    struct run r;
    struct vlqa_session *s;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_STREAMING, BUDGET);
    struct outcome *out;
    REQUIRE(run_open(&r));
    s = r.session;
    out = ask_new(&r, o);
    o = options(VLQA_COMPRESS_OFF, 0);
    o.max_tokens = 1;
    free(ask_new(&r, o));
    {
        int32_t slot = out->tokens_total, text = -1;
        struct span span = {SINKS, slot - (BUDGET - SINKS), slot + 1};
        int32_t at = s->n_cached_prefix == slot ? 0 : -1;
        struct pos pos;
        struct pass pass = {.kv = &s->kv, .logits = masked};
        CHECK_EQ(at, 0);
        /* Behind three images: the position that the session gives the first token. */
        at = slot;
        for (int i = 0; i < s->n_images; i++) {
            struct grid g = s->image[i].grid;
            at -= g.h * g.w - (g.h > g.w ? g.h : g.w);
        }
        pos = (struct pos){at, at, at};
        pass.tokens = (struct tokens){.n = 1,
                                      .token = out->token,
                                      .visual_row = &text,
                                      .pos = &pos,
                                      .slot = &slot,
                                      .span = &span};
        decoder_forward(s->queue, &s->engine->decoder, &pass, &s->scratch);
        CHECK_EQ(queue_sync(s->queue), VLQA_OK);
    }
    CHECK(memcmp(masked, out->logits[1], sizeof masked) == 0);
    free(out);
    run_close(&r);
}

/* ---- attention by heads, naively ---- */

struct seen_layer { /* of the decode pass that comes last */
    float q[1024], attn[1024];
};

struct watch {
    struct seen_layer layer[KV_MAX_LAYERS];
};

static void look(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    struct watch *w = user;
    if (m.rows != 1 || m.cols > 1024) return;
    if (strcmp(name, "text.q") == 0) CHECK_EQ(queue_read(q, w->layer[layer].q, m), VLQA_OK);
    if (strcmp(name, "text.attn") == 0) CHECK_EQ(queue_read(q, w->layer[layer].attn, m), VLQA_OK);
}

/* Softmax over the slots that a head of the keys has kept and those from base to end. */
static void attend_naively(const struct vlqa_session *s, int layer, const float *q, int end,
                           float *mixed)
{
    const struct decoder_config *c = &s->engine->decoder.config;
    int group = c->heads / c->kv_heads, dim = c->head_dim, cols = dim * c->kv_heads;
    float *k = (float *)(void *)copy_of(s, s->kv.k[layer]);
    float *v = (float *)(void *)copy_of(s, s->kv.v[layer]);
    for (int head = 0; head < c->heads; head++) {
        int of = head / group, kept = s->kept.n[layer * c->kv_heads + of];
        double sum = 0, out[256] = {0};
        for (int slot = 0; slot < end; slot++) {
            double dot = 0;
            if (slot >= kept && slot < s->kept.base) continue;
            for (int e = 0; e < dim; e++)
                dot += (double)q[head * dim + e] * (double)k[slot * cols + of * dim + e];
            dot = exp(dot / sqrt(dim));
            sum += dot;
            for (int e = 0; e < dim; e++)
                out[e] += dot * (double)v[slot * cols + of * dim + e];
        }
        for (int e = 0; e < dim; e++)
            mixed[head * dim + e] = (float)(out[e] / sum);
    }
    free(k);
    free(v);
}

TEST(each_head_sees_what_it_has_kept)
{
    static struct watch w;
    static float mixed[1024], expected[1024];
    struct run r;
    struct vlqa_session *s;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_PYRAMIDKV, 40);
    struct outcome *out;
    dtype = VLQA_DTYPE_F32;
    REQUIRE(run_open(&r));
    dtype = VLQA_DTYPE_AUTO;
    s = r.session;
    o.max_tokens = 4;
    experimental(&o)->kv_share = 1;
    s->queue->trace = look;
    s->queue->trace_user = &w;
    out = ask_new(&r, o);
    s->queue->trace = NULL;
    CHECK(s->kept.n[0] != s->kept.n[1]);
    for (int i = 0; i < s->kv.layers; i++) {
        const struct decoder_config *c = &s->engine->decoder.config;
        struct workspace_used mark = workspace_mark(&s->scratch);
        int q_dim = c->heads * c->head_dim;
        struct mat x = workspace_mat(&s->scratch, DT_F32, 1, q_dim);
        struct mat y = workspace_mat(&s->scratch, DT_F32, 1, c->hidden);
        attend_naively(s, i, w.layer[i].q, s->kept.base + 3, mixed);
        queue_upload(s->queue, x.data, mixed, (size_t)q_dim * sizeof *mixed);
        k_matmul(s->queue, y, x, s->engine->decoder.layer[i].o, mat_none(), ACT_NONE);
        CHECK_EQ(queue_read(s->queue, expected, y), VLQA_OK);
        CHECK_CLOSE(w.layer[i].attn, expected, (size_t)c->hidden, 1e-5);
        workspace_rewind(&s->scratch, mark);
    }
    free(out);
    run_close(&r);
}

/* ---- memory ---- */

/* Pages of K and V of all layers that are in memory. */
static int resident(const struct vlqa_session *s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int count = 0;
    for (int i = 0; i < 2 * s->kv.layers; i++) {
        struct mat m = i % 2 ? s->kv.v[i / 2] : s->kv.k[i / 2];
        uintptr_t begin = ((uintptr_t)m.data + page - 1) / page * page;
        uintptr_t end = ((uintptr_t)m.data + mat_bytes(m.dtype, m.rows, m.cols)) / page * page;
        for (uintptr_t at = begin; at < end; at += page) {
            unsigned char here;
            CHECK_EQ(mincore((void *)at, page, &here), 0);
            count += here & 1;
        }
    }
    return count;
}

/* Rows have 256 bytes, so that 16 of them are a page, and a matrix has a page that it shares with
 * its neighbours. */
static int pages_of(const struct vlqa_session *s, int slots)
{
    size_t row = (size_t)s->kv.k[0].cols * dtype_size(s->kv.k[0].dtype);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (int)((size_t)slots * row / page + 2) * 2 * s->kv.layers;
}

TEST(memory_of_dropped_tokens_goes_back)
{
    struct run r;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_SNAPKV, 32);
    struct outcome *out;
    int whole, left;
    dtype = VLQA_DTYPE_BF16;
    REQUIRE(run_open(&r));
    if (!device_shares_host(r.engine->device)) {
        run_close(&r);
        dtype = VLQA_DTYPE_AUTO;
        SKIP("memory goes back where a device is the CPU");
    }
    o.max_tokens = 1;
    out = ask_new(&r, options(VLQA_COMPRESS_OFF, 0));
    whole = resident(r.session);
    free(out);
    out = ask_new(&r, o);
    left = resident(r.session);
    CHECK(whole >= pages_of(r.session, out->tokens_total - 48));
    CHECK(left <= pages_of(r.session, 32));
    CHECK(left < whole);
    free(out);
    run_close(&r);
    REQUIRE(run_open(&r)); /* and is never taken where a prompt is compressed while it is read */
    dtype = VLQA_DTYPE_AUTO;
    experimental(&o)->kv_block = 32;
    out = ask_new(&r, o);
    CHECK(resident(r.session) <= pages_of(r.session, 64));
    free(out);
    run_close(&r);
}

/* ---- while reading, and while answering ---- */

TEST(no_more_than_the_budget_and_a_step_are_there)
{
    struct run r;
    REQUIRE(run_open(&r));
    for (int i = 0; i < N_ALL; i++) {
        struct vlqa_ask_options o = options(all[i], 24);
        const struct kept *k = &r.session->kept;
        struct outcome *out;
        experimental(&o)->kv_block = 32;
        out = ask_new(&r, o);
        CHECK_EQ(out->n, STEPS);
        CHECK(k->base >= 24 && k->behind > out->tokens_total);
        if (all[i] != VLQA_COMPRESS_PYRAMIDKV)
            CHECK(kept_slot(k, out->tokens_total + STEPS - 1) <= 24 + 8);
        free(out);
    }
    run_close(&r);
}

TEST(threads_change_no_bit)
{
    struct outcome *first = NULL;
    for (threads = 1; threads <= 3; threads++) {
        struct vlqa_ask_options o = options(VLQA_COMPRESS_INFOKV, 24);
        struct outcome *out;
        struct run r;
        experimental(&o)->kv_block = 32;
        REQUIRE(run_open(&r));
        out = ask_new(&r, o);
        if (first) CHECK(same(first, out));
        if (first)
            free(out);
        else
            first = out;
        run_close(&r);
    }
    threads = 1;
    free(first);
}

/* Over chunks, placed and repaired, the prompt's end is the same. */
TEST(chunks_are_compressed_when_they_are_repaired)
{
    struct run r;
    struct outcome *full, *reused;
    struct vlqa_ask_options o = options(VLQA_COMPRESS_SNAPKV, 24);
    REQUIRE(run_open(&r));
    full = ask_new(&r, o);
    set_reuse(&o, REUSE_FULL);
    reused = ask_new(&r, o);
    CHECK(same(full, reused));
    CHECK_EQ(reused->exact, 0);
    free(full);
    free(reused);
    run_close(&r);
}

static void check_refused(struct run *r, struct vlqa_ask_options o, const char *part)
{
    static struct outcome out;
    CHECK_EQ(ask(r, &o, &out), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r->session), part);
}

TEST(options_are_refused_with_words)
{
    struct run r;
    struct vlqa_ask_options o;
    REQUIRE(run_open(&r));
#define REFUSED(setting, part)                 \
    do {                                       \
        o = options(VLQA_COMPRESS_INFOKV, 24); \
        (void)(experimental(&o)->setting);     \
        check_refused(&r, o, part);            \
    } while (0)
    REFUSED(compress = (enum vlqa_compress)8, "compress is 8, expected 0..7");
    REFUSED(kv_budget = -1, "kv_budget is -1");
    REFUSED(kv_ratio = 0, "kv_ratio 0; expected 0 or more, above 0");
    REFUSED(kv_ratio = (float)NAN, "kv_ratio nan");
    REFUSED(kv_window = 0, "kv_window is 0");
    REFUSED(kv_window = 513, "kv_window is 513");
    REFUSED(kv_step = 7, "kv_step 7; expected 1..512, and no less");
    REFUSED(kv_block = 7, "kv_block is 7, expected 0, or kv_window (8) to 512");
    REFUSED(kv_entropy = 1.5f, "kv_entropy is 1.5");
    REFUSED(kv_top = 65, "kv_top 65");
    o = options(VLQA_COMPRESS_INFOKV, 24);
    o.reuse = VLQA_REUSE_AUTO;
    check_refused(&r, o, "compress infokv asks something of each token");
    o = options(VLQA_COMPRESS_SNAPKV, 24);
    o.reuse = VLQA_REUSE_AUTO;
    experimental(&o)->kv_block = 64;
    check_refused(&r, o, "kv_block asks something of each token");
    o = options(VLQA_COMPRESS_SNAPKV, 24);
    set_reuse(&o, REUSE_KVSHARE);
    check_refused(&r, o, "variant kvshare looks at tokens that compress drops");
    o = options(VLQA_COMPRESS_SNAPKV, 24);
    o.reuse = VLQA_REUSE_AUTO;
    experimental(&o)->margin = 1;
    check_refused(&r, o, "margin asks for all of the prompt");
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
