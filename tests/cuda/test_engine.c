/* test_engine.c - questions on a GPU, as a rule the emulated one: identities of prefill and reuse
 * to the last bit, and an engine that runs out of memory or whose device fails at any place. */
#include "fusion/session/session.h"
#include "include/vlqa_experimental.h"
#include "tests/check.h"
#include "tests/cuda/emu_device.h"
#include "tests/wants_cuda.h"

#define VOCAB 8192
#define STEPS 2

struct run {
    struct vlqa_engine *engine;
    struct vlqa_session *session;
    vlqa_status status;
    char message[512]; /* of an engine or session that did not open, or of the question */
    float logits[STEPS * VOCAB];
    int hits;
    unsigned long long allocs; /* on the device, while the question was answered */
};

static struct run a, b; /* results to compare */

static void keep_logits(void *user, int step, const float *logits, int n)
{
    struct run *r = user;
    if (step < STEPS) memcpy(r->logits + step * VOCAB, logits, (size_t)n * sizeof *logits);
}

static void note(struct run *r, vlqa_status status, const char *message)
{
    r->status = status;
    snprintf(r->message, sizeof r->message, "%s", status == VLQA_OK ? "" : message);
}

static void run_open_in(struct run *r, enum vlqa_dtype dtype, enum vlqa_dtype kv)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    vlqa_status status;
    memset(r, 0, sizeof *r);
    eo.model = VLQA_SOURCE_DIR "/tests/golden/tied64";
    eo.dtype = dtype;
    eo.kv_dtype = kv;
    eo.threads = 1;
    so.max_seq_len = 512;
    status = vlqa_engine_open(&eo, &r->engine);
    note(r, status, vlqa_engine_message(r->engine));
    if (status != VLQA_OK) return;
    status = vlqa_session_open(r->engine, &so, &r->session);
    note(r, status, vlqa_message(r->session));
}

static void run_open(struct run *r)
{
    run_open_in(r, VLQA_DTYPE_AUTO, VLQA_DTYPE_AUTO);
}

static void run_close(struct run *r)
{
    vlqa_session_close(r->session);
    vlqa_engine_close(r->engine);
    r->session = NULL;
    r->engine = NULL;
}

static void ask(struct run *r, enum vlqa_reuse reuse, float ratio)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    unsigned long long before;
    vlqa_status status = vlqa_session_clear(r->session);
    if (status == VLQA_OK)
        status = vlqa_add_image_file(r->session, VLQA_SOURCE_DIR "/tests/charts/cows.png");
    o.max_tokens = STEPS;
    o.on_logits = keep_logits;
    o.user = r;
    o.ignore_eos = 1;
    o.reuse = reuse;
    o.chunker = VLQA_CHUNK_GRID;
    o.halo = 2;
    o.recompute_ratio = ratio;
    before = emu_count().allocs;
    if (status == VLQA_OK)
        status = vlqa_ask(r->session, "Which is the largest?", &o, &answer, sizeof answer);
    r->allocs = emu_count().allocs - before;
    note(r, status, vlqa_message(r->session));
    if (status != VLQA_OK) return;
    r->hits = (int)(answer.chunks_ram + answer.chunks_disk);
}

static int same_logits(void)
{
    return memcmp(a.logits, b.logits, sizeof a.logits) == 0;
}

TEST(repairing_every_token_equals_full_prefill)
{
    run_open(&a);
    REQUIRE(a.status == VLQA_OK);
    ask(&a, VLQA_REUSE_OFF, 0);
    CHECK_STR(a.message, "");
    b = a;
    ask(&b, VLQA_REUSE_ON, 1);
    CHECK_STR(b.message, "");
    CHECK(same_logits());
    run_close(&a);
}

TEST(warm_equals_cold_and_takes_no_memory)
{
    run_open(&a);
    REQUIRE(a.status == VLQA_OK);
    ask(&a, VLQA_REUSE_ON, 0.15f);
    CHECK_STR(a.message, "");
    CHECK_EQ(a.hits, 0);
    b = a;
    ask(&b, VLQA_REUSE_ON, 0.15f);
    CHECK_STR(b.message, "");
    CHECK(b.hits > 0);
    CHECK(same_logits());
    CHECK_EQ(a.allocs, 0);
    CHECK_EQ(b.allocs, 0);
    run_close(&a);
}

static void look(void *user, struct queue *q, const char *name, int layer, struct mat m)
{
    (void)user, (void)q, (void)name, (void)layer, (void)m;
}

/* Where nobody looks, products are added as they are made (decoder.c, vit.c). */
TEST(looking_on_changes_no_bit)
{
    static const enum vlqa_dtype dtypes[] = {VLQA_DTYPE_F32, VLQA_DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        run_open_in(&a, dtypes[i], VLQA_DTYPE_AUTO);
        REQUIRE(a.status == VLQA_OK);
        ask(&a, VLQA_REUSE_OFF, 0);
        CHECK_STR(a.message, "");
        run_close(&a);
        run_open_in(&b, dtypes[i], VLQA_DTYPE_AUTO);
        REQUIRE(b.status == VLQA_OK);
        b.session->queue->trace = look;
        ask(&b, VLQA_REUSE_OFF, 0);
        CHECK_STR(b.message, "");
        CHECK(same_logits());
        run_close(&b);
    }
}

TEST(passes_of_few_tokens_change_no_bit)
{
    run_open(&a);
    REQUIRE(a.status == VLQA_OK);
    ask(&a, VLQA_REUSE_OFF, 0);
    b = a;
    b.session->pass_tokens = 5;
    ask(&b, VLQA_REUSE_OFF, 0);
    CHECK_STR(b.message, "");
    CHECK(same_logits());
    run_close(&a);
}

#define KEPT (128 * 32) /* values */

/* An answer and a question behind it, whose keys and values of all layers go to `kv`, added up by
 * their bits. forget: without what the session has from before. */
static void ask_twice(struct run *r, int forget, uint32_t kv[KEPT])
{
    static const int32_t forced[] = {'1', '9', '8', '4', '2', '7', '0', '3', '6', '5', '1', '7'};
    static uint32_t values[KEPT];
    struct vlqa_session *s = r->session;
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    vlqa_status status = vlqa_session_clear(s);
    o.max_tokens = o.n_forced = sizeof forced / sizeof *forced;
    o.forced = forced;
    o.reuse = VLQA_REUSE_OFF;
    o.ignore_eos = o.keep = 1;
    if (status == VLQA_OK) status = vlqa_ask(s, "One?", &o, &answer, sizeof answer);
    if (forget) s->n_cached_prefix = 0;
    if (status == VLQA_OK) status = vlqa_ask(s, "Two?", &o, &answer, sizeof answer);
    note(r, status, vlqa_message(s));
    r->hits = answer.tokens_recomputed;
    memset(kv, 0, KEPT * sizeof *kv);
    for (int i = 0; i < 2 * s->kv.layers && status == VLQA_OK; i++) {
        struct mat m = i % 2 ? s->kv.v[i / 2] : s->kv.k[i / 2];
        int n = answer.tokens_total * m.cols;
        REQUIRE(n <= KEPT && m.dtype == DT_F32);
        status = queue_read(s->queue, values, mat_rows(m, 0, answer.tokens_total));
        for (int k = 0; k < n; k++)
            kv[k] = kv[k] * 31 + values[k];
    }
}

/* KV is in f32, where the last bits of products can be seen. */
TEST(what_an_answer_leaves_behind_changes_no_bit_of_the_next_one)
{
    static uint32_t kept[KEPT], anew[KEPT];
    run_open_in(&a, VLQA_DTYPE_BF16, VLQA_DTYPE_F32);
    REQUIRE(a.status == VLQA_OK);
    b = a;
    ask_twice(&a, 0, kept);
    CHECK_STR(a.message, "");
    ask_twice(&b, 1, anew);
    CHECK_STR(b.message, "");
    CHECK(a.hits < b.hits); /* the question before is there */
    CHECK(memcmp(kept, anew, sizeof kept) == 0);
    run_close(&a);
}

TEST(each_allocation_of_the_gpu_can_fail)
{
    int n = 0, told = 0;
    if (wants_cuda()) SKIP("a real GPU does not fail when it is told to");
    do {
        emu_fail_alloc(n);
        run_open(&a);
        if (a.status == VLQA_OK) ask(&a, VLQA_REUSE_ON, 0.15f);
        emu_fail_alloc(-1);
        if (a.status != VLQA_OK) {
            CHECK_EQ(a.status, VLQA_EMEMORY);
            CHECK_HAS(a.message, "out of memory");
            told += strstr(a.message, "are free") != NULL;
        }
        run_close(&a);
        CHECK_EQ(emu_count().taken, 0);
    } while (a.status != VLQA_OK && ++n < 100);
    CHECK(n >= 6);    /* weights, staging, session, image */
    CHECK(told >= 3); /* of device memory */
}

/* The first error stays, is no crash wherever it comes up, and loses no memory. */
TEST(work_of_the_gpu_can_fail_anywhere)
{
    int failed = 0;
    if (wants_cuda()) SKIP("a real GPU does not fail when it is told to");
    for (long n = 0; n < 1500; n += 97) {
        run_open(&a);
        REQUIRE(a.status == VLQA_OK);
        emu_fail_work(n);
        ask(&a, VLQA_REUSE_ON, 0.15f);
        if (a.status != VLQA_OK) {
            CHECK_EQ(a.status, VLQA_EDEVICE);
            CHECK_HAS(a.message, "GPU 0 failed at ");
            CHECK_HAS(a.message, "bytes are free");
            ask(&a, VLQA_REUSE_OFF, 0);
            CHECK_EQ(a.status, VLQA_EDEVICE);
            failed++;
        }
        emu_fail_work(-1);
        run_close(&a);
        CHECK_EQ(emu_count().taken, 0);
    }
    CHECK(failed >= 3);
}

/* ---- decode passes as graphs ---- */

enum { TOKENS = 9, FIRST = 1020, DECODED_VOCAB = 1280 }; /* they cross 1,024 keys: segments */

static struct decoded {
    float logits[TOKENS * DECODED_VOCAB];
    unsigned long long graphs, launches, allocs; /* made by the passes */
} single, together;

static void fill_keys(struct vlqa_session *s)
{
    static uint16_t values[FIRST * 128];
    for (int i = 0; i < 2 * s->kv.layers; i++) {
        struct mat m = i % 2 ? s->kv.v[i / 2] : s->kv.k[i / 2];
        size_t n = (size_t)FIRST * (size_t)m.cols;
        REQUIRE(m.dtype == DT_BF16 && n <= sizeof values / sizeof *values);
        for (size_t k = 0; k < n; k++)
            values[k] = f32_to_bf16((float)((k * 37 + (size_t)i * 11) % 101) / 50 - 1);
        queue_upload(s->queue, m.data, values, n * sizeof *values);
    }
}

static void decode_token(struct vlqa_session *s, int32_t slot)
{
    int32_t token = slot % 97, text = -1;
    struct span span = {0, 0, slot + 1};
    struct pos pos = {slot, slot, slot};
    struct pass pass = {.tokens = {.n = 1,
                                   .token = &token,
                                   .visual_row = &text,
                                   .visual = mat_rows(s->visual, 0, 0),
                                   .pos = &pos,
                                   .slot = &slot,
                                   .span = &span},
                        .kv = &s->kv,
                        .decode = 1,
                        .logits = s->logits};
    decoder_forward(s->queue, &s->engine->decoder, &pass, &s->scratch);
}

/* Tokens behind FIRST others, whose keys and values are made up. */
static vlqa_status decode(struct run *r, int is_single, struct decoded *out)
{
    struct vlqa_session *s = r->session;
    size_t vocab = (size_t)s->engine->decoder.config.vocab;
    struct emu_counts before = emu_count();
    vlqa_status status = VLQA_OK;
    memset(out, 0, sizeof *out);
    fill_keys(s);
    s->queue->single_launches = is_single;
    for (int i = 0; i < TOKENS && status == VLQA_OK; i++) {
        decode_token(s, FIRST + i);
        status = queue_sync(s->queue);
        memcpy(out->logits + (size_t)i * vocab, s->logits, vocab * sizeof *s->logits);
    }
    out->graphs = emu_count().graphs_made - before.graphs_made;
    out->launches = emu_count().graph_launches - before.graph_launches;
    out->allocs = emu_count().allocs - before.allocs;
    return status;
}

static void open_to_decode(struct run *r, const char *model, const char *shape)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    struct vlqa_session_options so = vlqa_session_options_default();
    memset(r, 0, sizeof *r);
    eo.model = model;
    eo.random_shape = shape;
    eo.dtype = VLQA_DTYPE_BF16;
    eo.threads = 1;
    so.max_seq_len = FIRST + TOKENS;
    r->status = vlqa_engine_open(&eo, &r->engine);
    if (r->status == VLQA_OK) r->status = vlqa_session_open(r->engine, &so, &r->session);
}

/* Heads of 64 in bf16: on tensor cores, where the number of segments is that of the blocks. */
TEST(decode_passes_as_graphs_change_no_bit)
{
    open_to_decode(&a, NULL, "default");
    REQUIRE(a.status == VLQA_OK);
    CHECK_EQ(decode(&a, 1, &single), VLQA_OK);
    CHECK_EQ(decode(&a, 0, &together), VLQA_OK);
    CHECK(memcmp(single.logits, together.logits, sizeof single.logits) == 0);
    CHECK(memcmp(single.logits, single.logits + DECODED_VOCAB, sizeof(float)) != 0);
    if (!wants_cuda()) { /* up to 1,024 keys, and behind them, all but the first pass */
        CHECK_EQ(single.launches + single.graphs, 0);
        CHECK_EQ(together.launches, TOKENS - 2);
        CHECK_EQ(together.graphs, 2);
        CHECK_EQ(single.allocs + together.allocs, 0);
    }
    run_close(&a);
}

/* Graphs that a question of a few tokens launches. */
static unsigned long long graphs_of(struct vlqa_session *s, int is_single)
{
    struct vlqa_experimental more = vlqa_experimental_default();
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer;
    unsigned long long before = emu_count().graph_launches;
    more.single_launches = is_single;
    o.experimental = &more;
    o.max_tokens = 6;
    o.ignore_eos = 1;
    CHECK_EQ(vlqa_ask(s, "One?", &o, &answer, sizeof answer), VLQA_OK);
    CHECK_EQ(answer.n_tokens, 6);
    return emu_count().graph_launches - before;
}

TEST(a_question_says_whether_kernels_are_launched_one_by_one)
{
    struct vlqa_session_options so = vlqa_session_options_default();
    struct vlqa_session *s = NULL;
    if (wants_cuda()) SKIP("a real GPU does not count");
    run_open(&a);
    REQUIRE(a.status == VLQA_OK);
    so.max_seq_len = 512;
    so.experimental = 1;
    REQUIRE(vlqa_session_open(a.engine, &so, &s) == VLQA_OK);
    CHECK_EQ(graphs_of(s, 0), 4); /* of five passes, all but the first */
    CHECK_EQ(graphs_of(s, 1), 0);
    CHECK_EQ(graphs_of(s, 0), 5); /* the graph of before */
    vlqa_session_close(s);
    run_close(&a);
}

/* Passes without a graph have the same bits; one that is not launched is an error that says so. */
TEST(each_call_about_graphs_can_fail)
{
    int without = 0, failed = 0;
    if (wants_cuda()) SKIP("a real GPU does not fail when it is told to");
    for (int n = 0, done = 0; !done; n += n < 3 ? 1 : 5) {
        vlqa_status status;
        open_to_decode(&a, VLQA_SOURCE_DIR "/tests/golden/tied64", NULL);
        REQUIRE(a.status == VLQA_OK);
        CHECK_EQ(decode(&a, 1, &single), VLQA_OK);
        emu_fail_graph(n);
        status = decode(&a, 0, &together);
        emu_fail_graph(-1);
        done = together.launches == TOKENS - 1; /* plain attention has no segments */
        if (status == VLQA_OK) {
            CHECK(memcmp(single.logits, together.logits, sizeof single.logits) == 0);
            without += together.launches == 0;
        } else {
            CHECK_EQ(status, VLQA_EDEVICE);
            CHECK_HAS(a.session->env.message, "GPU 0 failed at a decode pass: ");
            failed++;
        }
        run_close(&a);
        CHECK_EQ(emu_count().taken, 0);
    }
    CHECK(without >= 5);
    CHECK(failed >= 1);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
