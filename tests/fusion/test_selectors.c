/* test_selectors.c - every way to choose tokens: what must hold of all of them. */
#include "base/heap.h"
#include "tests/fusion/selector_lab.h"

struct selector {
    enum reuse reuse;
    enum vlqa_token_score score;
    uint64_t layers, check;
    float taper;
    int closing, draft;
    enum vlqa_budget_base base;
    enum vlqa_query_tokens query;
};

static const struct selector selectors[] = {
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_NORM},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_MASS, .layers = 0x2a},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_MAX, .closing = 1},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_ENTROPY, .base = VLQA_BASE_CONTEXT},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_VATP, .taper = 0.5f},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_COMBINED, .layers = 0x38},
    {.reuse = REUSE_INFOFLOW, .score = VLQA_SCORE_COMBINED, .draft = 2},
    {.reuse = REUSE_PROPHET},
    {.reuse = REUSE_CACHEBLEND},
    {.reuse = REUSE_CACHEBLEND, .check = 0xe, .taper = 1},
    {.reuse = REUSE_EPIC, .taper = 1},
    {.reuse = REUSE_VLCACHE, .base = VLQA_BASE_ALL},
    {.reuse = REUSE_VLCACHE, .taper = 1},
    {.reuse = REUSE_RANDOM, .closing = 2},
    {.reuse = REUSE_ORACLE},
    {.reuse = REUSE_ORACLE, .layers = 0xf0, .closing = 1},
    {.reuse = REUSE_KVSHARE},
    {.reuse = REUSE_KVSHARE, .check = 0x6, .taper = 0.5f},
};
#define N_SELECTORS (int)(sizeof selectors / sizeof *selectors)

static const int32_t forced[] = {30, 31, 32};

/* An answer of three tokens and the logits of each. */
static struct vlqa_answer select_rows(struct vlqa_session *s, const struct selector *by,
                                      float ratio, struct steps *steps)
{
    struct vlqa_ask_options o = plan(by->reuse, ratio);
    experimental(&o)->score = by->score;
    experimental(&o)->query_tokens = by->query;
    experimental(&o)->probe_layers[0] = by->layers;
    experimental(&o)->check_layers[0] = by->check;
    experimental(&o)->taper = by->taper;
    experimental(&o)->closing = by->closing;
    experimental(&o)->query_draft = by->draft;
    experimental(&o)->budget_base = by->base;
    o.max_tokens = o.n_forced = 3;
    o.forced = forced;
    o.on_logits = keep_step;
    o.user = steps;
    return ask(s, &o);
}

static const struct selector off = {.reuse = REUSE_OFF}, none = {.reuse = REUSE_NONE};

/* I1 and I2, in every step of the answer. */
TEST(ratio_1_is_full_prefill_and_ratio_0_no_repair)
{
    static struct steps full, stale, all, nothing;
    for (int i = 0; i < 2; i++) {
        struct run r;
        REQUIRE(run_open(&r, i ? VLQA_DTYPE_BF16 : VLQA_DTYPE_F32));
        add(r.session, 1);
        select_rows(r.session, &off, 0, &full);
        select_rows(r.session, &none, 0, &stale);
        CHECK(memcmp(&full, &stale, sizeof full) != 0);
        for (int k = 0; k < N_SELECTORS; k++) {
            struct vlqa_answer a = select_rows(r.session, &selectors[k], 1, &all);
            CHECK(a.tokens_selected > 60);
            CHECK_EQ(memcmp(&full, &all, sizeof full), 0);
            a = select_rows(r.session, &selectors[k], 0, &nothing);
            CHECK_EQ(a.tokens_selected, 0);
            CHECK_EQ(memcmp(&stale, &nothing, sizeof stale), 0);
        }
        run_close(&r);
    }
}

/* In between something is chosen, the answer is neither, and I7: tokens that miss nothing keep
 * their keys and values in all layers, all tokens of chunks in layer 0. */
TEST(a_part_is_neither_and_leaves_exact_rows_alone)
{
    static struct steps full, stale, part;
    static struct kv_copy before, after;
    static uint8_t candidate[KV_ROWS];
    struct vlqa_ask_options o = plan(REUSE_FULL, 0);
    struct vlqa_answer a;
    struct run r;
    int context, cols, candidates, missing = 0;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    a = ask(r.session, &o);
    context = a.tokens_prefix + a.tokens_context;
    candidates = a.tokens_selected;
    for (int i = 0; i < a.n_chunks; i++)
        missing += vlqa_chunk_at(&a, i).tokens - vlqa_chunk_at(&a, i).tokens_exact;
    CHECK_EQ(candidates, missing);
    memcpy(candidate, a.token_selected, (size_t)context);
    select_rows(r.session, &off, 0, &full);
    select_rows(r.session, &none, 0, &stale);
    cols = r.session->kv.k[0].cols;
    kv_copy(r.session, context, &before);
    for (int k = 0; k < N_SELECTORS; k++) {
        int exact = 0;
        a = select_rows(r.session, &selectors[k], 0.2f, &part);
        kv_copy(r.session, context, &after);
        CHECK(a.tokens_selected > 0 && a.tokens_selected < candidates);
        CHECK(memcmp(&full, &part, sizeof full) != 0 && memcmp(&stale, &part, sizeof full) != 0);
        for (int row = 0; row < context - 1; row++) { /* the last ends the picture */
            CHECK(same_row(&before, &after, 0, row, cols));
            for (int l = 1; l < LAYERS && !candidate[row]; l++)
                exact += same_row(&before, &after, l, row, cols);
            CHECK(candidate[row] || !a.token_selected[row]);
        }
        CHECK_EQ(exact, (context - 1 - candidates) * (LAYERS - 1));
    }
    run_close(&r);
}

/* I4: the tokens of a pass ascend, and each sees what earlier ones have left; where the list is cut
 * changes no bit, nor what is chosen. */
TEST(where_a_repair_is_cut_changes_nothing)
{
    static const int cuts[] = {1, 2, 3, 7, 16};
    static struct steps whole, cut;
    static uint8_t chosen[512];
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add(r.session, 1);
    for (int k = 0; k < N_SELECTORS; k++)
        for (int i = -1; i < (k % 4 ? 2 : 5); i++) {
            struct selector by = selectors[k];
            struct vlqa_answer a;
            r.session->pass_tokens = i < 0 ? SESSION_PASS_TOKENS : cuts[i];
            by.query = VLQA_QUERY_LAST; /* query tokens are of one batch */
            a = select_rows(r.session, &by, 0.2f, i < 0 ? &whole : &cut);
            REQUIRE(a.tokens_total <= (int)sizeof chosen);
            if (i < 0) memcpy(chosen, a.token_selected, (size_t)a.tokens_total);
            CHECK(i < 0 || memcmp(&whole, &cut, sizeof whole) == 0);
            CHECK(memcmp(chosen, a.token_selected, (size_t)a.tokens_total) == 0);
        }
    run_close(&r);
}

static void ask_about(struct vlqa_session *s, const char *picture)
{
    static struct steps steps;
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    CHECK(vlqa_add_image_file(s, picture) == VLQA_OK);
    select_rows(s, &none, 0, &steps);
    CHECK(vlqa_session_clear(s) == VLQA_OK);
}

TEST(the_order_in_which_chunks_were_made_changes_nothing)
{
    static struct steps first, second;
    static uint8_t chosen[512];
    struct run fresh, kept;
    REQUIRE(run_open(&fresh, VLQA_DTYPE_BF16) && run_open(&kept, VLQA_DTYPE_BF16));
    ask_about(kept.session, CHART("cows"));
    ask_about(kept.session, CHART("february"));
    add(fresh.session, 1);
    add(kept.session, 1);
    for (int k = 0; k < N_SELECTORS; k++) {
        struct vlqa_answer a = select_rows(fresh.session, &selectors[k], 0.2f, &first);
        REQUIRE(a.tokens_total <= (int)sizeof chosen);
        memcpy(chosen, a.token_selected, (size_t)a.tokens_total);
        a = select_rows(kept.session, &selectors[k], 0.2f, &second);
        CHECK(memcmp(&first, &second, sizeof first) == 0);
        CHECK(memcmp(chosen, a.token_selected, (size_t)a.tokens_total) == 0);
    }
    run_close(&fresh);
    run_close(&kept);
}

TEST(no_selector_allocates_when_warm)
{
    static struct steps steps;
    struct run r;
    uint64_t before;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add(r.session, 1);
    select_rows(r.session, &none, 0, &steps);
    before = heap_calls();
    for (int k = 0; k < N_SELECTORS; k++)
        select_rows(r.session, &selectors[k], 0.2f, &steps);
    CHECK_EQ(heap_calls() - before, 0);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
