/* test_reuse.c - chunks that are kept, placed and repaired: what must hold to the last bit. */
#include "base/heap.h"
#include "tests/device_memory.h"
#include "tests/fusion/sample_lab.h"

static int run_open_kv(struct run *r, enum vlqa_dtype dtype, enum vlqa_dtype kv, const char *dir)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.kv_dtype = kv;
    eo.dtype = dtype;
    eo.threads = 2;
    eo.cache_dir = dir;
    return run_start(r, eo, 640);
}

static int run_open(struct run *r, enum vlqa_dtype dtype, const char *dir)
{
    return run_open_kv(r, dtype, VLQA_DTYPE_AUTO, dir);
}

static void add_one(struct vlqa_session *s)
{
    CHECK(vlqa_add_image_file(s, CHART("february")) == VLQA_OK);
}

static const char note[] = "The note says: A means Apples and B means Bananas, sold in the north.";

/* Three pictures, a document and plain tokens between them. */
static void add_many(struct vlqa_session *s)
{
    CHECK(vlqa_set_system(s, "You read charts.", 16) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, CHART("february")) == VLQA_OK);
    CHECK(vlqa_add_text(s, note, sizeof note - 1) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, CHART("cows")) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, CHART("rice")) == VLQA_OK);
}

struct plan {
    enum reuse reuse;
    enum vlqa_chunker chunker;
    int k;
    float ratio;
};

static struct vlqa_answer ask_plan(struct vlqa_session *s, struct plan p, float *logits)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer answer = {0};
    o.halo = CHART_HALO;
    o.max_tokens = 4;
    o.ignore_eos = 1;
    set_reuse(&o, p.reuse);
    o.chunker = p.chunker;
    o.chunk_k = p.k;
    o.recompute_ratio = p.ratio;
    o.chunk_text_tokens = 8;
    if (vlqa_ask(s, QUESTION, &o, &answer, sizeof answer) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(s));
    else
        memcpy(logits, answer.logits, VOCAB * sizeof *logits);
    return answer;
}

static const struct plan cuts[] = {{REUSE_FULL, VLQA_CHUNK_IMAGE, 1, 0},
                                   {REUSE_FULL, VLQA_CHUNK_GRID, 2, 0},
                                   {REUSE_FULL, VLQA_CHUNK_GRID, 4, 0},
                                   {REUSE_FULL, VLQA_CHUNK_STRIPS, 3, 0}};
#define N_CUTS (int)(sizeof cuts / sizeof *cuts)
static const struct plan off = {REUSE_OFF, VLQA_CHUNK_IMAGE, 1, 0};

static int rows_in_chunks(const struct vlqa_answer *a)
{
    int n = 0;
    for (int i = 0; i < a->n_chunks; i++)
        n += vlqa_chunk_at(a, i).tokens;
    return n;
}

/* I1 of docs/MODEL.md, for every chunker and dtype, one image and many; under a sanitizer with the
 * plainest dtypes and the smallest alone. */
TEST(repairing_every_row_equals_full_prefill)
{
    static float full[VOCAB], repaired[VOCAB];
    static const enum vlqa_dtype kv[] = {VLQA_DTYPE_F32, VLQA_DTYPE_BF16, VLQA_DTYPE_INT8,
                                         VLQA_DTYPE_INT4};
    for (int i = 0; i < 16; i++) {
        struct run r;
        if (VLQA_SANITIZED && i % 8 && i % 8 != 7) continue;
        REQUIRE(run_open_kv(&r, i & 1 ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, kv[i / 2 % 4], NULL));
        if (i >= 8)
            add_many(r.session);
        else
            add_one(r.session);
        ask_plan(r.session, off, full);
        for (int c = 0; c < N_CUTS; c++) {
            struct vlqa_answer a = ask_plan(r.session, cuts[c], repaired);
            CHECK(memcmp(full, repaired, sizeof full) == 0);
            CHECK(cuts[c].chunker == VLQA_CHUNK_IMAGE || a.tokens_selected > 0);
            if (kv[i / 2 % 4] >= VLQA_DTYPE_INT8) CHECK_EQ(a.tokens_selected, rows_in_chunks(&a));
        }
        run_close(&r);
    }
}

/* I3: nothing was hidden from the one chunk. */
TEST(one_chunk_behind_the_prefix_is_exact_without_repair)
{
    static float full[VOCAB], reused[VOCAB];
    for (int i = 0; i < 2; i++) {
        const struct plan none = {REUSE_NONE, VLQA_CHUNK_IMAGE, 1, 0};
        struct run r;
        REQUIRE(run_open(&r, i ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32, NULL));
        add_one(r.session);
        ask_plan(r.session, off, full);
        CHECK_EQ(ask_plan(r.session, none, reused).tokens_selected, 0);
        CHECK(memcmp(full, reused, sizeof full) == 0);
        run_close(&r);
    }
}

TEST(cut_images_without_repair_differ_and_ratio_0_repairs_nothing)
{
    static float full[VOCAB], none[VOCAB], zero[VOCAB];
    const struct plan p = {REUSE_NONE, VLQA_CHUNK_GRID, 2, 0};
    const struct plan q = {REUSE_INFOFLOW, VLQA_CHUNK_GRID, 2, 0};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32, NULL));
    add_one(r.session);
    ask_plan(r.session, off, full);
    ask_plan(r.session, p, none);
    ask_plan(r.session, q, zero);
    CHECK(check_compare(none, full, VOCAB).max_abs > 0.01);
    CHECK(memcmp(none, zero, sizeof none) == 0);
    run_close(&r);
}

TEST(dropping_deepstack_from_the_repair_shows)
{
    static float full[VOCAB], repaired[VOCAB];
    struct run r;
    int n_deep;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32, NULL));
    add_one(r.session);
    ask_plan(r.session, off, full);
    ask_plan(r.session, cuts[1], repaired); /* chunks are computed with DeepStack */
    n_deep = r.engine->vit.config.n_deep;
    r.engine->vit.config.n_deep = 0;
    ask_plan(r.session, cuts[1], repaired);
    r.engine->vit.config.n_deep = n_deep;
    CHECK(check_compare(repaired, full, VOCAB).max_abs > 0.01);
    run_close(&r);
}

static const struct plan plans[] = {
    {REUSE_NONE, VLQA_CHUNK_GRID, 2, 0},          {REUSE_INFOFLOW, VLQA_CHUNK_GRID, 2, 0.15f},
    {REUSE_PROPHET, VLQA_CHUNK_STRIPS, 3, 0.15f}, {REUSE_CACHEBLEND, VLQA_CHUNK_GRID, 4, 0.15f},
    {REUSE_EPIC, VLQA_CHUNK_IMAGE, 1, 0.05f},     {REUSE_VLCACHE, VLQA_CHUNK_GRID, 2, 0.1f},
    {REUSE_RANDOM, VLQA_CHUNK_GRID, 2, 0.3f}};
#define N_PLANS (int)(sizeof plans / sizeof *plans)

/* Cold, from RAM, in another session, and from disk by another engine. */
static void check_warm(struct plan plan, enum vlqa_dtype kv, const char *dir)
{
    static float cold[VOCAB], warm[VOCAB];
    struct run fresh, kept;
    struct vlqa_answer a;
    int made;
    REQUIRE(run_open_kv(&fresh, VLQA_DTYPE_BF16, kv, NULL));
    add_many(fresh.session);
    a = ask_plan(fresh.session, plan, cold);
    made = a.chunks_computed;
    CHECK(made > 0 && a.chunks_ram == 0 && a.chunks_disk == 0);
    a = ask_plan(fresh.session, plan, warm);
    CHECK_EQ(a.chunks_ram, made);
    CHECK_EQ(a.chunks_computed, 0);
    CHECK(memcmp(cold, warm, sizeof cold) == 0);
    run_close(&fresh);
    for (int again = 0; again < 2; again++) {
        REQUIRE(run_open_kv(&kept, VLQA_DTYPE_BF16, kv, dir));
        add_many(kept.session);
        a = ask_plan(kept.session, plan, warm);
        CHECK(memcmp(cold, warm, sizeof cold) == 0);
        if (again) CHECK_EQ(a.chunks_disk, made);
        if (again) CHECK_EQ(a.visual_disk, 3);
        run_close(&kept);
    }
}

TEST(warm_equals_cold)
{
    char dir[] = "/tmp/vlqa-test-XXXXXX", command[64];
    REQUIRE(mkdtemp(dir));
    for (int p = 0; p < N_PLANS; p += VLQA_SANITIZED ? 3 : 1) {
        check_warm(plans[p], VLQA_DTYPE_BF16, dir);
        if (VLQA_SANITIZED && p > 0) continue;
        check_warm(plans[p], VLQA_DTYPE_INT8, dir);
        check_warm(plans[p], VLQA_DTYPE_INT4, dir);
    }
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

/* The second picture's chunk is the one made when it was the first. */
TEST(a_chunk_is_found_wherever_it_stands)
{
    static float logits[VOCAB];
    const struct plan none = {REUSE_NONE, VLQA_CHUNK_GRID, 2, 0};
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    CHECK(vlqa_add_image_file(r.session, CHART("cows")) == VLQA_OK);
    a = ask_plan(r.session, none, logits);
    CHECK_EQ(a.chunks_computed, 4);
    CHECK(vlqa_session_clear(r.session) == VLQA_OK);
    CHECK(vlqa_add_image_file(r.session, CHART("february")) == VLQA_OK);
    CHECK(vlqa_add_image_file(r.session, CHART("cows")) == VLQA_OK);
    a = ask_plan(r.session, none, logits);
    CHECK_EQ(a.chunks_ram, 4);
    CHECK_EQ(a.chunks_computed, 4);
    CHECK_EQ(a.visual_ram, 1);
    run_close(&r);
}

/* K and V of every layer, tokens [0, n). */
static size_t copy_kv(const struct vlqa_session *s, int n, char *out)
{
    size_t bytes = 0;
    for (int i = 0; i < s->kv.layers; i++) {
        struct mat kv[2] = {mat_rows(s->kv.k[i], 0, n), mat_rows(s->kv.v[i], 0, n)};
        for (int j = 0; j < 2; j++) {
            size_t part = mat_bytes(kv[j].dtype, n, kv[j].cols);
            CHECK_EQ(queue_read(s->queue, out + bytes, kv[j]), VLQA_OK);
            bytes += part;
        }
    }
    return bytes;
}

/* I6: what placing writes is what full prefill wrote there, in every layer, for rows from which
 * nothing was hidden: the prefix (4 rows) and the first strip (3 of 7 lines of 10 cells). */
TEST(a_placed_chunk_equals_rows_computed_in_place)
{
    static float logits[VOCAB];
    static char direct[1 << 20], placed[1 << 20];
    const struct plan none = {REUSE_NONE, VLQA_CHUNK_STRIPS, 2, 0};
    struct run r;
    size_t bytes;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    ask_plan(r.session, off, logits);
    bytes = copy_kv(r.session, 34, direct);
    CHECK(bytes <= sizeof direct);
    r.session->n_cached_prefix = 0; /* the prefix, too, is to be run again */
    ask_plan(r.session, none, logits);
    CHECK_EQ(copy_kv(r.session, 34, placed), bytes);
    CHECK(memcmp(direct, placed, bytes) == 0);
    (void)copy_kv(r.session, 35, placed); /* the next token did not see the first strip */
    (void)ask_plan(r.session, off, logits);
    (void)copy_kv(r.session, 35, direct);
    CHECK(memcmp(direct, placed, sizeof direct) != 0);
    run_close(&r);
}

TEST(other_words_before_the_picture_miss)
{
    static float logits[VOCAB];
    const struct plan none = {REUSE_NONE, VLQA_CHUNK_GRID, 2, 0};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    ask_plan(r.session, none, logits);
    CHECK(vlqa_session_clear(r.session) == VLQA_OK);
    CHECK(vlqa_set_system(r.session, "Be brief.", 9) == VLQA_OK);
    add_one(r.session);
    CHECK_EQ(ask_plan(r.session, none, logits).chunks_computed, 4);
    run_close(&r);
}

TEST(a_warm_question_makes_no_heap_call)
{
    static const enum vlqa_dtype kv[] = {VLQA_DTYPE_AUTO, VLQA_DTYPE_INT8, VLQA_DTYPE_INT4};
    static float logits[VOCAB];
    for (int i = 0; i < 3; i++) {
        struct run r;
        REQUIRE(run_open_kv(&r, VLQA_DTYPE_BF16, kv[i], NULL));
        add_many(r.session);
        for (int p = 0; p < N_PLANS; p += VLQA_SANITIZED ? 3 : 1) {
            uint64_t before;
            ask_plan(r.session, plans[p], logits);
            before = heap_calls();
            ask_plan(r.session, plans[p], logits);
            CHECK_EQ(heap_calls() - before, 0);
        }
        run_close(&r);
    }
}

/* The session's own exact tokens: a second question runs only what is new, to the same bits. */
TEST(held_rows_are_not_run_again)
{
    static float first[VOCAB], again[VOCAB];
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    a = ask_plan(r.session, off, first);
    CHECK_EQ(a.tokens_recomputed, a.tokens_total);
    a = ask_plan(r.session, off, again);
    CHECK_EQ(a.tokens_recomputed, 1);
    CHECK(memcmp(first, again, sizeof first) == 0);
    ask_plan(r.session, plans[1], again); /* leaves stale tokens behind */
    a = ask_plan(r.session, off, again);
    CHECK(a.tokens_recomputed > 1);
    CHECK(memcmp(first, again, sizeof first) == 0);
    run_close(&r);
}

static double sum_scores(struct vlqa_session *s, int draft)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    double sum = 0;
    o.halo = CHART_HALO;
    o.max_tokens = 1;
    set_reuse(&o, REUSE_INFOFLOW);
    o.chunker = VLQA_CHUNK_GRID;
    experimental(&o)->score = VLQA_SCORE_MASS;
    experimental(&o)->query_draft = draft;
    if (vlqa_ask(s, QUESTION, &o, &a, sizeof a) != VLQA_OK || !a.token_score) {
        CHECK_FAIL("ask: %s", vlqa_message(s));
        return 0;
    }
    for (int i = 0; i < a.tokens_total; i++)
        sum += (double)a.token_score[i];
    return sum;
}

/* Each asking token spreads a weight of one in every layer and head; drafted ones keep some of it
 * for themselves, behind the prompt. What they leave there changes no later answer. */
TEST(drafted_rows_ask_beside_the_last)
{
    static float before[VOCAB], after[VOCAB];
    struct run r;
    double one = 8 * 4, last, drafted; /* layers x heads of the default model */
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    ask_plan(r.session, off, before);
    last = sum_scores(r.session, 0);
    drafted = sum_scores(r.session, 2);
    CHECK(fabs(last - one) < 1e-3);
    CHECK(drafted > last + 0.5 * one && drafted < last + 2 * one);
    ask_plan(r.session, off, after);
    CHECK(memcmp(before, after, sizeof before) == 0);
    run_close(&r);
}

/* A bound that nothing meets leads to all tokens, and that is full prefill; one that everything
 * meets stops where there are two answers to compare: after the first repair where attention was
 * scored over the chunks as they are, after the second elsewhere. */
TEST(adaptive_ends_exact_or_early)
{
    static float full[VOCAB], adapted[VOCAB];
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    struct run r;
    int candidates;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    candidates = ask_plan(r.session, cuts[1], adapted).tokens_selected;
    ask_plan(r.session, off, full);
    o.halo = CHART_HALO;
    o.max_tokens = 1;
    set_reuse(&o, REUSE_INFOFLOW);
    o.chunker = VLQA_CHUNK_GRID;
    o.adaptive = 1e-30f;
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    CHECK(memcmp(full, a.logits, sizeof full) == 0);
    CHECK(a.tokens_recomputed > a.tokens_total);
    CHECK(vlqa_session_clear(r.session) == VLQA_OK);
    add_one(r.session);
    o.adaptive = 100;
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    memcpy(adapted, a.logits, sizeof adapted);
    CHECK_EQ(a.tokens_selected, (int)(0.15 * candidates));
    CHECK(memcmp(full, adapted, sizeof full) != 0);
    set_reuse(&o, REUSE_EPIC);
    REQUIRE(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_OK);
    CHECK_EQ(a.tokens_selected, (int)(0.3 * candidates)); /* 15 %, then 30 % */
    run_close(&r);
}

TEST(budget_is_of_rows_that_miss_context)
{
    static float logits[VOCAB];
    struct vlqa_answer a;
    struct run r;
    int selected = 0, inside = 0;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    add_one(r.session);
    a = ask_plan(r.session, plans[1], logits);
    for (int i = 0; i < a.tokens_total; i++) {
        selected += a.token_selected[i];
        inside +=
            a.token_selected[i] && i >= a.tokens_prefix && i < a.tokens_prefix + a.tokens_context;
    }
    CHECK_EQ(selected, a.tokens_selected);
    CHECK_EQ(inside, selected);
    CHECK(selected > 0 && selected <= (int)(0.15 * a.tokens_context));
    run_close(&r);
}

#define LAYERS 8
#define HEADS 4

/* Each of the query tokens gives each layer and head a weight of 1, however many tokens there are
 * and however they are cut for the decoder. */
static void check_mass(struct vlqa_session *s, int words, enum reuse reuse,
                       enum vlqa_query_tokens query)
{
    static char question[4096];
    struct vlqa_ask_options o = vlqa_ask_options_default();
    struct vlqa_answer a;
    double sum = 0;
    int rows;
    question[0] = 0;
    for (int i = 0; i < words; i++)
        strcat(question, "and ");
    o.halo = CHART_HALO;
    o.max_tokens = 1;
    set_reuse(&o, reuse);
    o.chunker = VLQA_CHUNK_GRID;
    experimental(&o)->score = VLQA_SCORE_MASS;
    experimental(&o)->query_tokens = query;
    if (vlqa_ask(s, question, &o, &a, sizeof a) != VLQA_OK) {
        CHECK_FAIL("%d words: %s", words, vlqa_message(s));
        return;
    }
    rows = a.tokens_question < SESSION_PASS_TOKENS ? a.tokens_question : SESSION_PASS_TOKENS;
    for (int i = 0; i < a.tokens_total; i++)
        sum += (double)a.token_score[i];
    if (query == VLQA_QUERY_LAST) rows = 1;
    CHECK(a.tokens_selected > 0);
    CHECK(fabs(sum / (LAYERS * HEADS * rows) - 1) < 1e-4);
}

TEST(a_question_of_any_length_is_scored)
{
    static const int words[] = {1, 480, 510, 600, 200};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16, NULL));
    vlqa_session_close(r.session);
    REQUIRE((r.session = session_of(r.engine, 0)));
    add_one(r.session);
    for (int i = 0; i < 5; i += VLQA_SANITIZED ? 2 : 1) {
        check_mass(r.session, words[i], REUSE_INFOFLOW, VLQA_QUERY_SUFFIX);
        check_mass(r.session, words[i], REUSE_INFOFLOW, VLQA_QUERY_LAST);
        check_mass(r.session, words[i], REUSE_PROPHET, VLQA_QUERY_SUFFIX);
    }
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
