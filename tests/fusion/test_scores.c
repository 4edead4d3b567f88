/* test_scores.c - what each way to choose tokens goes by, and how many it takes in which layer. */
#include "fusion/reuse/select.h"
#include "tests/fusion/selector_lab.h"

/* ---- scores of attention ---- */

#define ROWS 128

static void scores(struct vlqa_session *s, enum vlqa_token_score score, float out[ROWS])
{
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, 0.15f);
    struct vlqa_answer a;
    experimental(&o)->score = score;
    experimental(&o)->query_tokens = VLQA_QUERY_SUFFIX;
    a = ask(s, &o);
    if (a.token_score) memcpy(out, a.token_score, (size_t)a.tokens_total * sizeof *out);
}

/* 0 for the lowest of the tokens that may be chosen, 1 for the highest. */
static void normalise(const uint8_t *candidate, int n, float *x)
{
    float low = INFINITY, high = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (candidate[i] && x[i] < low) low = x[i];
        if (candidate[i] && x[i] > high) high = x[i];
    }
    for (int i = 0; i < n; i++)
        x[i] = (x[i] - low) / (high - low);
}

TEST(the_combined_score_mixes_three)
{
    static float mixed[ROWS], entropy[ROWS], norm[ROWS], vatp[ROWS];
    static uint8_t candidate[ROWS];
    const struct vlqa_ask_options full = plan(REUSE_FULL, 0);
    struct vlqa_answer a;
    struct run r;
    int n, differ = 0;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    a = ask(r.session, &full); /* chooses all that may be chosen */
    n = a.tokens_total;
    REQUIRE(n <= ROWS);
    memcpy(candidate, a.token_selected, (size_t)n);
    scores(r.session, VLQA_SCORE_COMBINED, mixed);
    scores(r.session, VLQA_SCORE_ENTROPY, entropy);
    scores(r.session, VLQA_SCORE_NORM, norm);
    scores(r.session, VLQA_SCORE_VATP, vatp);
    normalise(candidate, n, entropy);
    normalise(candidate, n, norm);
    normalise(candidate, n, vatp);
    for (int i = 0; i < n; i++) {
        float expected = 0.4f * entropy[i] + 0.4f * norm[i] + 0.2f * vatp[i];
        if (!candidate[i]) continue;
        CHECK(fabsf(mixed[i] - expected) < 1e-5f);
        differ += fabsf(entropy[i] - norm[i]) > 0.05f && fabsf(vatp[i] - norm[i]) > 0.05f;
    }
    CHECK(differ > 3);
    run_close(&r);
}

/* Scores are sums over layers: those of a set are those of its layers, whatever its holes. */
TEST(layers_of_a_set_are_counted_and_no_other)
{
    static const uint64_t sets[][2] = {{0x08, 0}, {0xa0, 0}, {0xa8, 0}};
    static float score[3][ROWS];
    struct run r;
    int n = 0;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    for (int i = 0; i < 3; i++) {
        struct vlqa_ask_options o = plan(REUSE_INFOFLOW, 0.15f);
        struct vlqa_answer a;
        memcpy(experimental(&o)->probe_layers, sets[i], sizeof experimental(&o)->probe_layers);
        a = ask(r.session, &o);
        n = a.tokens_total;
        REQUIRE(a.token_score && n <= ROWS);
        memcpy(score[i], a.token_score, (size_t)n * sizeof **score);
    }
    for (int i = 0; i < n; i++) {
        CHECK(fabsf(score[0][i] + score[1][i] - score[2][i]) < 1e-5f);
        CHECK(i >= n - 1 || (score[0][i] > 0 && score[1][i] > 0));
    }
    run_close(&r);
}

/* ---- oracle ---- */

static float row_off(const struct kv_copy *a, const struct kv_copy *b, int layer, int row, int cols)
{
    double sum = 0;
    for (int i = row * cols; i < (row + 1) * cols; i++) {
        double k = (double)a->k[layer][i] - (double)b->k[layer][i];
        double v = (double)a->v[layer][i] - (double)b->v[layer][i];
        sum += k * k + v * v;
    }
    return (float)sqrt(sum);
}

/* What is left of a score without the difference is attention: a share of 1 in each of 4 heads. And
 * the full prefill that the oracle asks leaves nothing behind in tokens that are not chosen. */
TEST(the_oracle_weighs_true_differences_by_attention)
{
    static struct kv_copy none, full, left;
    struct vlqa_ask_options o = plan(REUSE_NONE, 0);
    struct vlqa_answer a;
    struct run r;
    int cols, context;
    double attention = 0;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    a = ask(r.session, &o);
    context = a.tokens_prefix + a.tokens_context;
    cols = r.session->kv.k[0].cols;
    kv_copy(r.session, context, &none);
    o = plan(REUSE_OFF, 0);
    ask(r.session, &o);
    kv_copy(r.session, context, &full);
    o = plan(REUSE_ORACLE, 0.1f);
    experimental(&o)->probe_layers[0] = 1 << 3;
    a = ask(r.session, &o);
    kv_copy(r.session, context, &left);
    REQUIRE(a.token_score && a.tokens_selected > 2);
    for (int row = a.tokens_prefix; row < context - 1; row++) { /* the last ends the picture */
        float off = row_off(&none, &full, 3, row, cols), share;
        CHECK_EQ(off > 0, a.token_score[row] > 0);
        share = off > 0 ? a.token_score[row] / off : 0;
        attention += (double)share;
        for (int l = 0; l < LAYERS; l++)
            CHECK(same_row(&none, &left, l, row, cols) || (l && a.token_selected[row]));
    }
    CHECK(attention > 0.1 && attention < 4);
    experimental(&o)->probe_layers[0] = 1; /* of layer 0 nothing is hidden */
    a = ask(r.session, &o);
    for (int row = 0; row < a.tokens_total; row++)
        CHECK(a.token_score[row] == 0);
    run_close(&r);
}

/* ---- fewer tokens in later layers ---- */

/* The tokens whose keys and values change in a layer are as many as its share says, those of a
 * layer among those of the one before. */
TEST(taper_repairs_a_share_of_each_layer)
{
    static struct kv_copy none, repaired;
    static const float tapers[] = {0, 0.5f, 1};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    for (int i = 0; i < 3; i++) {
        struct vlqa_ask_options o = plan(REUSE_FULL, 0);
        struct vlqa_answer a = ask(r.session, &o);
        uint8_t before[KV_ROWS], candidate[KV_ROWS];
        int candidates = a.tokens_selected, total = 0;
        int cols = r.session->kv.k[0].cols, context = a.tokens_prefix + a.tokens_context;
        memcpy(candidate, a.token_selected, (size_t)context);
        o = plan(REUSE_NONE, 0);
        ask(r.session, &o);
        kv_copy(r.session, context, &none);
        o = plan(REUSE_INFOFLOW, 0.25f);
        experimental(&o)->taper = tapers[i];
        a = ask(r.session, &o);
        kv_copy(r.session, context, &repaired);
        CHECK_EQ(a.tokens_selected, (int)(0.25f * (1 + tapers[i]) * (float)candidates));
        memcpy(before, a.token_selected, (size_t)context);
        for (int l = 1; l < LAYERS; l++) {
            float share = 0.25f + tapers[i] * 0.25f * (1 - 2 * (float)l / (LAYERS - 1));
            int changed = 0;
            for (int row = 0; row < context; row++) {
                int now = candidate[row] && !same_row(&none, &repaired, l, row, cols);
                CHECK(!now || before[row]);
                before[row] = (uint8_t)now;
                changed += now;
            }
            CHECK_EQ(changed, (int)(share * (float)candidates));
            total += changed;
        }
        CHECK(total > 0);
    }
    run_close(&r);
}

/* All tokens are chosen, but not all go through all layers. */
TEST(all_rows_in_some_layers_are_not_exact)
{
    static const enum reuse by[] = {REUSE_INFOFLOW, REUSE_AUTO};
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    for (int i = 0; i < 2; i++) {
        struct vlqa_ask_options o = plan(REUSE_FULL, 0);
        struct vlqa_answer a = ask(r.session, &o);
        int candidates = a.tokens_selected;
        CHECK(a.exact && candidates > 0);
        r.session->n_cached_prefix = 0; /* auto uses what is held */
        set_reuse(&o, by[i]);
        o.recompute_ratio = 0.5f;
        experimental(&o)->taper = 1;
        a = ask(r.session, &o);
        CHECK_EQ(a.tokens_selected, candidates);
        CHECK(!a.exact);
    }
    run_close(&r);
}

/* The gradual filter: every token goes up to the first checked layer; from there on the share
 * falls, and who drops out stays out. */
TEST(checked_layers_filter_step_by_step)
{
    static struct kv_copy none, repaired;
    struct vlqa_ask_options o = plan(REUSE_FULL, 0);
    struct vlqa_answer a;
    struct run r;
    uint8_t before[KV_ROWS];
    int candidates, context, cols;
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    a = ask(r.session, &o);
    candidates = a.tokens_selected;
    context = a.tokens_prefix + a.tokens_context;
    memcpy(before, a.token_selected, (size_t)context);
    o = plan(REUSE_NONE, 0);
    ask(r.session, &o);
    cols = r.session->kv.k[0].cols;
    kv_copy(r.session, context, &none);
    o = plan(REUSE_CACHEBLEND, 0.25f);
    experimental(&o)->taper = 0.8f;
    experimental(&o)->check_layers[0] = 1 << 1 | 1 << 3;
    a = ask(r.session, &o);
    kv_copy(r.session, context, &repaired);
    for (int l = 1; l < LAYERS; l++) {
        int from = l < 2 ? -1 : l < 4 ? 2 : l; /* where the share is taken */
        float share = 0.25f + 0.8f * 0.25f * (1 - 2 * (float)from / (LAYERS - 1));
        int changed = 0;
        for (int row = 0; row < context; row++) {
            before[row] = before[row] && !same_row(&none, &repaired, l, row, cols);
            changed += before[row];
        }
        CHECK_EQ(changed, from < 0 ? candidates : (int)(share * (float)candidates));
        if (l == 4) CHECK_EQ(changed, a.tokens_selected);
    }
    run_close(&r);
}

/* ---- repair while the answer is generated ---- */

TEST(kvshare_repairs_more_rows_behind_every_token)
{
    static struct steps blend, share;
    static struct kv_copy before, after;
    static const int32_t forced[4] = {30, 31, 32, 33};
    struct vlqa_ask_options o = plan(REUSE_CACHEBLEND, 0.1f);
    struct vlqa_answer a;
    struct run r;
    int first, context, looks[5] = {0};
    REQUIRE(run_open(&r, VLQA_DTYPE_F32));
    add(r.session, 0);
    o.max_tokens = o.n_forced = 4;
    o.forced = forced;
    o.on_logits = keep_step;
    o.user = &blend;
    a = ask(r.session, &o);
    first = a.tokens_selected;
    context = a.tokens_prefix + a.tokens_context;
    kv_copy(r.session, context, &before);
    set_reuse(&o, REUSE_KVSHARE);
    experimental(&o)->refresh_tokens = 0;
    o.user = &share;
    CHECK_EQ(ask(r.session, &o).tokens_selected, first);
    CHECK(memcmp(&blend, &share, sizeof blend) == 0);
    experimental(&o)->refresh_tokens =
        3; /* behind the first three tokens: the last one's token is not run */
    a = ask(r.session, &o);
    kv_copy(r.session, context, &after);
    CHECK_EQ(a.tokens_selected, first + 9);
    for (int row = 0; row < context; row++) {
        REQUIRE(a.token_selected[row] < 5);
        looks[a.token_selected[row]]++;
        CHECK_EQ(a.token_selected[row] > 1,
                 !same_row(&before, &after, LAYERS - 1, row, r.session->kv.k[0].cols));
    }
    CHECK(looks[1] == first && looks[2] == 3 && looks[3] == 3 && looks[4] == 3);
    for (int step = 0; step < 4; step++) /* a token's token is run before tokens are repaired */
        CHECK_EQ(memcmp(blend.logits[step], share.logits[step], sizeof *share.logits) == 0,
                 step < 2);
    experimental(&o)->refresh_every = 3;
    CHECK_EQ(ask(r.session, &o).tokens_selected, first + 3);
    run_close(&r);
}

/* ---- gaps ---- */

/* What select_closed says of the answer's scores, whatever the order of the slots. */
TEST(gaps_are_closed_in_the_image_not_in_the_slots)
{
    static const enum vlqa_order orders[] = {VLQA_ORDER_RASTER, VLQA_ORDER_CHUNK};
    uint8_t candidate[ROWS], chosen[ROWS], plain[ROWS];
    int32_t list[ROWS], work[SELECT_CLOSED_WORK(ROWS)];
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add(r.session, 0);
    for (int i = 0; i < 2; i++) {
        struct vlqa_ask_options o = plan(REUSE_FULL, 0);
        struct vlqa_answer a;
        struct select_grid grid;
        int n;
        experimental(&o)->order = orders[i];
        a = ask(r.session, &o);
        n = a.tokens_total;
        REQUIRE(n <= ROWS && a.n_images == 1);
        memcpy(candidate, a.token_selected, (size_t)n);
        set_reuse(&o, REUSE_INFOFLOW);
        o.recompute_ratio = 0.3f;
        experimental(&o)->closing = 1;
        a = ask(r.session, &o);
        grid = (struct select_grid){vlqa_image_at(&a, 0).first_token, vlqa_image_at(&a, 0).grid_h,
                                    vlqa_image_at(&a, 0).grid_w};
        select_closed(a.token_score, candidate, n, a.tokens_selected, &grid, 1, 1, list, chosen,
                      work);
        CHECK(memcmp(chosen, a.token_selected, (size_t)n) == 0);
        select_top(a.token_score, candidate, NULL, n, a.tokens_selected, list, plain);
        CHECK(memcmp(plain, chosen, (size_t)n) != 0);
    }
    run_close(&r);
}

static void check_refused(const struct vlqa_ask_options *o, const char *part)
{
    struct vlqa_answer a;
    struct run r;
    REQUIRE(run_open(&r, VLQA_DTYPE_BF16));
    add(r.session, 0);
    CHECK_EQ(vlqa_ask(r.session, QUESTION, o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), part);
    run_close(&r);
}

TEST(layers_that_the_model_lacks_are_refused)
{
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, 0.15f);
    experimental(&o)->probe_layers[0] = 0x101;
    check_refused(&o, "probe_layers has layer 8, the model has 0 to 7");
    experimental(&o)->probe_layers[1] = (uint64_t)1 << 63;
    check_refused(&o, "probe_layers has layer 127, the model has 0 to 7");
}

TEST(wrong_settings_are_refused)
{
    struct vlqa_ask_options o = plan(REUSE_INFOFLOW, 0.15f);
    experimental(&o)->taper = 1.5f;
    check_refused(&o, "taper is 1.5, expected 0..1");
    experimental(&o)->taper = 0.5f;
    o.adaptive = 0.1f;
    check_refused(&o, "taper is 0.5, expected 0..1 and 0 with adaptive");
    o = plan(REUSE_KVSHARE, 0.15f);
    experimental(&o)->refresh_every = 0;
    check_refused(&o, "refresh_every is 0, refresh_tokens 4; expected 1 or more");
    o = plan(REUSE_CACHEBLEND, 0.15f);
    experimental(&o)->check_layers[0] = 0x200;
    check_refused(&o, "check_layers has layer 9, the model has 0 to 7");
    o = plan(REUSE_INFOFLOW, 0.15f);
    experimental(&o)->closing = 9;
    check_refused(&o, "closing is 9, expected 0..8");
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
