/* test_certain.c - an answer over chunks that goes on over an exact prompt at its first doubt. */
#include "tests/fusion/sample_lab.h"

enum { STEPS = 6 };

/* What was said, step by step. */
struct said {
    int steps, n_tokens, exact, selected, recomputed;
    int32_t token[STEPS];
    double flops;
    float logits[STEPS][VOCAB];
    double lead[STEPS]; /* of the largest logit */
};

static void on_logits(void *user, int step, const float *logits, int n)
{
    struct said *s = user;
    double first = -1e30, second = -1e30;
    if (step >= STEPS) return;
    for (int i = 0; i < n; i++) {
        if ((double)logits[i] > second) second = (double)logits[i];
        if (second > first) {
            double swap = first;
            first = second, second = swap;
        }
    }
    memcpy(s->logits[step], logits, sizeof s->logits[step]);
    s->lead[step] = first - second;
    s->steps = step + 1;
}

static struct vlqa_ask_options options(double margin, enum reuse reuse, struct said *to)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.halo = CHART_HALO;
    o.max_tokens = STEPS;
    o.ignore_eos = 1;
    o.recompute_ratio = 0;
    set_reuse(&o, reuse);
    experimental(&o)->margin = margin;
    o.on_logits = on_logits;
    o.user = to;
    return o;
}

static void ask(struct run *r, const char *question, const struct vlqa_ask_options *o)
{
    struct said *to = o->user;
    struct vlqa_answer a = {0};
    memset(to, 0, sizeof *to);
    if (vlqa_ask(r->session, question, o, &a, sizeof a) != VLQA_OK)
        CHECK_FAIL("ask: %s", vlqa_message(r->session));
    to->n_tokens = a.n_tokens;
    to->exact = a.exact;
    to->selected = a.tokens_selected;
    to->recomputed = a.tokens_recomputed;
    to->flops = a.flops;
    if (a.n_tokens) memcpy(to->token, a.token, (size_t)a.n_tokens * sizeof *a.token);
}

/* Two charts and a text, each a chunk: but for the first none is exact. */
static void add_documents(struct run *r)
{
    CHECK(vlqa_session_clear(r->session) == VLQA_OK);
    add_image(r->session, CHART("february"));
    add_text(r->session, "A means Apples.");
    add_image(r->session, CHART("cows"));
}

static void ask_about(struct run *r, const char *question, double margin, enum reuse reuse,
                      struct said *to)
{
    struct vlqa_ask_options o = options(margin, reuse, to);
    add_documents(r);
    ask(r, question, &o);
}

static void ask_anew(struct run *r, double margin, enum reuse reuse, struct said *to)
{
    ask_about(r, QUESTION, margin, reuse, to);
}

static struct said full, plain, found;

static int open_run(struct run *r, enum vlqa_dtype dtype, enum vlqa_dtype kv)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.threads = 1;
    eo.dtype = dtype;
    eo.kv_dtype = kv;
    return run_start(r, eo, 640);
}

static int same_step(const struct said *a, const struct said *b, int step)
{
    return memcmp(a->logits[step], b->logits[step], sizeof a->logits[step]) == 0;
}

static void check_same(const struct said *a, const struct said *b)
{
    CHECK_EQ(a->steps, STEPS);
    CHECK_EQ(a->n_tokens, b->n_tokens);
    CHECK(memcmp(a->token, b->token, sizeof a->token) == 0);
    for (int i = 0; i < STEPS; i++)
        CHECK(same_step(a, b, i));
}

/* No token leads by a million: full prefill from the first token on, to the last bit. */
TEST(where_all_is_in_doubt_the_answer_is_full_prefill)
{
    static const enum vlqa_dtype formats[][2] = {{VLQA_DTYPE_BF16, VLQA_DTYPE_AUTO},
                                                 {VLQA_DTYPE_F32, VLQA_DTYPE_AUTO},
                                                 {VLQA_DTYPE_BF16, VLQA_DTYPE_INT8}};
    for (int i = 0; i < 3; i++) {
        struct run r;
        REQUIRE(open_run(&r, formats[i][0], formats[i][1]));
        ask_anew(&r, 0, REUSE_OFF, &full);
        ask_anew(&r, 0, REUSE_NONE, &plain);
        CHECK(!plain.exact && !same_step(&plain, &full, 0));
        ask_anew(&r, 1e6, REUSE_AUTO, &found);
        check_same(&found, &full);
        CHECK(found.exact && found.selected > 0);
        CHECK(found.recomputed > plain.recomputed && found.flops > plain.flops);
        run_close(&r);
    }
}

/* Nothing is in doubt: chunks as they are. */
TEST(without_doubt_chunks_stay_as_they_are)
{
    struct run r;
    REQUIRE(open_run(&r, VLQA_DTYPE_BF16, VLQA_DTYPE_AUTO));
    ask_anew(&r, 0, REUSE_NONE, &plain);
    ask_anew(&r, 1e-9, REUSE_AUTO, &found);
    check_same(&found, &plain);
    CHECK(!found.exact && found.selected == 0);
    CHECK_EQ(found.recomputed, plain.recomputed);
    run_close(&r);
}

/* Behind tokens that were sure: these stay said, and from the doubt on logits are those that full
 * prefill has behind the same tokens. */
static void check_doubt_at(struct run *r, const char *question, int doubt)
{
    struct vlqa_ask_options o = options(0, REUSE_OFF, &full);
    ask_about(r, question, plain.lead[doubt] * (1 + 1e-9), REUSE_AUTO, &found);
    CHECK(found.exact && found.steps == STEPS);
    for (int i = 0; i < doubt; i++)
        CHECK(same_step(&found, &plain, i));
    CHECK(memcmp(found.token, plain.token, (size_t)doubt * sizeof *found.token) == 0);
    add_documents(r);
    o.forced = found.token;
    o.n_forced = doubt;
    ask(r, question, &o);
    for (int i = doubt; i < STEPS; i++)
        CHECK(same_step(&found, &full, i));
    CHECK(memcmp(found.token, full.token, sizeof full.token) == 0);
}

/* At each token of an answer that leads by less than all before it: the first in doubt. */
static int check_doubts(struct run *r, const char *question)
{
    double least;
    int tried = 0;
    ask_about(r, question, 0, REUSE_NONE, &plain);
    least = plain.lead[0];
    for (int i = 1; i < STEPS; i++) {
        if (!(plain.lead[i] < least)) continue;
        least = plain.lead[i];
        check_doubt_at(r, question, i);
        tried++;
    }
    return tried;
}

TEST(what_follows_a_doubt_is_of_full_prefill)
{
    static const char *const questions[] = {QUESTION, "What is the title?", "What is written?",
                                            "Which month is the highest?"};
    int tried = 0;
    struct run r;
    REQUIRE(open_run(&r, VLQA_DTYPE_BF16, VLQA_DTYPE_AUTO));
    for (int i = 0; i < 4; i++)
        tried += check_doubts(&r, questions[i]);
    CHECK(tried > 0); /* which tokens those are depends on the model */
    run_close(&r);
}

/* The session holds the exact prompt and answer then, as behind full prefill. */
TEST(a_turn_that_was_in_doubt_is_held_exactly)
{
    static const char next[] = "What is the title?";
    static struct said second[2];
    for (int i = 0; i < 2; i++) {
        struct vlqa_ask_options o = options(i ? 1e6 : 0, i ? REUSE_AUTO : REUSE_OFF, &found);
        struct run r;
        REQUIRE(open_run(&r, VLQA_DTYPE_BF16, VLQA_DTYPE_AUTO));
        o.keep = 1;
        add_documents(&r);
        ask(&r, QUESTION, &o);
        o = options(0, REUSE_OFF, &second[i]);
        ask(&r, next, &o);
        run_close(&r);
    }
    check_same(&second[1], &second[0]);
    CHECK_EQ(second[1].recomputed, second[0].recomputed);
}

TEST(a_margin_that_leads_elsewhere_is_refused)
{
    struct vlqa_ask_options o;
    struct vlqa_answer a;
    struct run r;
    static const double wrong[] = {-1, 2e6, NAN, INFINITY};
    REQUIRE(open_run(&r, VLQA_DTYPE_BF16, VLQA_DTYPE_AUTO));
    add_documents(&r);
    for (int i = 0; i < 4; i++) {
        o = options(wrong[i], REUSE_AUTO, &found);
        CHECK(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_EUSAGE);
        CHECK_HAS(vlqa_message(r.session), "margin is ");
    }
    o = options(1, REUSE_AUTO, &found);
    experimental(&o)->order = VLQA_ORDER_CHUNK;
    CHECK(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "margin leads to full prefill");
    o = options(1, REUSE_AUTO, &found);
    experimental(&o)->reorder = VLQA_REORDER_DENSITY;
    CHECK(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a) == VLQA_EUSAGE);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
