/* test_attention.c - answers that nobody scored have evidence, too, and are the same with it. */
#include "tests/fusion/sample_lab.h"

#define MAX_TOKENS 8
#define MAX_PROMPT 640

struct got { /* all of an answer that must not change */
    float logits[VOCAB];
    int32_t token[MAX_TOKENS];
    int n_tokens, exact, selected, recomputed, chunks_computed;
    double flops;
};

struct look { /* and where it looked */
    int n, total;
    struct vlqa_evidence evidence[16];
    float score[MAX_PROMPT];
};

static int open(struct run *r, int no_cache, enum vlqa_dtype dtype)
{
    struct vlqa_engine_options eo = vlqa_engine_options_default();
    eo.threads = 1;
    eo.no_cache = no_cache;
    eo.dtype = dtype;
    return run_start(r, eo, MAX_PROMPT);
}

static struct vlqa_ask_options options_of(enum reuse reuse, int evidence_max)
{
    struct vlqa_ask_options o = vlqa_ask_options_default();
    o.halo = CHART_HALO;
    o.max_tokens = MAX_TOKENS;
    o.chunker = VLQA_CHUNK_IMAGE;
    o.evidence_max = evidence_max;
    set_reuse(&o, reuse);
    return o;
}

static void ask(struct vlqa_session *s, const struct vlqa_ask_options *o, struct got *got,
                struct look *look)
{
    struct vlqa_answer a = {0};
    memset(got, 0, sizeof *got);
    memset(look, 0, sizeof *look);
    if (vlqa_ask(s, QUESTION, o, &a, sizeof a) != VLQA_OK) {
        CHECK_FAIL("ask: %s", vlqa_message(s));
        return;
    }
    memcpy(got->logits, a.logits, sizeof got->logits);
    memcpy(got->token, a.token, (size_t)a.n_tokens * sizeof *a.token);
    got->n_tokens = a.n_tokens;
    got->exact = a.exact;
    got->selected = a.tokens_selected;
    got->recomputed = a.tokens_recomputed;
    got->chunks_computed = a.chunks_computed;
    got->flops = a.flops;
    look->n = a.n_evidence;
    look->total = a.tokens_total;
    for (int i = 0; i < a.n_evidence; i++)
        look->evidence[i] = vlqa_evidence_at(&a, i);
    if (a.token_score) memcpy(look->score, a.token_score, (size_t)a.tokens_total * sizeof(float));
}

static void add(struct vlqa_session *s, int many)
{
    CHECK(vlqa_session_clear(s) == VLQA_OK);
    add_image(s, CHART("february"));
    if (!many) return;
    add_text(s, "A means Apples.");
    add_image(s, CHART("cows"));
}

/* Every way to an answer without scores: nothing reused, computed for it, hit, hit in the session,
 * chunks as they are, and all of them again. */
static const enum reuse kinds[] = {REUSE_OFF,      REUSE_AUTO, REUSE_AUTO, REUSE_AUTO,
                                   REUSE_INFOFLOW, REUSE_NONE, REUSE_FULL};
#define N_KINDS (int)(sizeof kinds / sizeof *kinds)

TEST(exact_answers_are_not_without_evidence_and_do_not_change_by_it)
{
    static struct got with, without;
    static struct look look, none;
    for (int no_cache = 0; no_cache < 2; no_cache++)
        for (int many = 0; many < 2; many++) {
            struct run a, b;
            REQUIRE(open(&a, no_cache, VLQA_DTYPE_AUTO) && open(&b, no_cache, VLQA_DTYPE_AUTO));
            for (int k = 0; k < N_KINDS; k++) {
                struct vlqa_ask_options yes = options_of(kinds[k], 16);
                struct vlqa_ask_options no = options_of(kinds[k], 0);
                if (k != 3) add(a.session, many), add(b.session, many); /* 3: what is held */
                ask(a.session, &yes, &with, &look);
                ask(b.session, &no, &without, &none);
                CHECK(memcmp(&with, &without, sizeof with) == 0);
                CHECK(look.n > 0);
                CHECK_EQ(none.n, 0);
            }
            run_close(&a), run_close(&b);
        }
}

TEST(every_way_to_an_exact_answer_has_the_same_evidence)
{
    static struct got got;
    static struct look first, look;
    for (int f32 = 0; f32 < 2; f32++) {
        struct run r;
        REQUIRE(open(&r, 0, f32 ? VLQA_DTYPE_F32 : VLQA_DTYPE_BF16));
        for (int k = 0; k < N_KINDS + 2; k++) {
            enum reuse kind = k < N_KINDS ? kinds[k] : REUSE_OFF;
            struct vlqa_ask_options o = options_of(kind, 16);
            if (kind == REUSE_NONE) continue; /* one image: hit, so exact, but not said to be */
            if (k != 3 && k != N_KINDS + 1) add(r.session, 0);
            if (k == N_KINDS) r.session->pass_tokens = 7; /* cut, and then all but the last held */
            ask(r.session, &o, &got, &look);
            CHECK(got.exact && look.n > 0);
            if (!k) first = look;
            CHECK(memcmp(&first, &look, sizeof look) == 0);
        }
        run_close(&r);
    }
}

/* The number that is asked for: the label of the February bar of tests/charts/february.png. */
TEST(the_highest_evidence_is_where_the_number_stands)
{
    static struct got got;
    static struct look look;
    const struct vlqa_evidence *box = look.evidence;
    struct vlqa_ask_options o = options_of(REUSE_AUTO, 16);
    struct run r;
    REQUIRE(open(&r, 0, VLQA_DTYPE_AUTO));
    add(r.session, 1);
    ask(r.session, &o, &got, &look);
    REQUIRE(look.n > 0);
    CHECK_EQ(box->image, 0);
    CHECK(box->x <= 71 && box->x + box->width >= 92); /* "27k" */
    CHECK(box->y <= 101 && box->y + box->height >= 112);
    CHECK(box->width <= 64 && box->height <= 64);
    run_close(&r);
}

TEST(the_options_bound_evidence)
{
    static struct got got;
    static struct look all, few;
    struct vlqa_ask_options o = options_of(REUSE_OFF, 16);
    struct vlqa_answer a;
    struct run r;
    REQUIRE(open(&r, 0, VLQA_DTYPE_AUTO));
    add(r.session, 0);
    ask(r.session, &o, &got, &all);
    REQUIRE(all.n > 1);
    o.evidence_max = 1;
    ask(r.session, &o, &got, &few);
    CHECK_EQ(few.n, 1);
    CHECK(memcmp(&few.evidence[0], &all.evidence[0], sizeof few.evidence[0]) == 0);
    o.evidence_max = 16;
    o.evidence_share = 0;
    ask(r.session, &o, &got, &few);
    CHECK_EQ(few.n, 1); /* one token, the highest */
    o.evidence_max = 17;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "evidence_max is 17");
    o.evidence_max = -1;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    o.evidence_max = 1;
    o.evidence_share = 1.5f;
    CHECK_EQ(vlqa_ask(r.session, QUESTION, &o, &a, sizeof a), VLQA_EUSAGE);
    CHECK_HAS(vlqa_message(r.session), "evidence_share 1.5");
    run_close(&r);
}

TEST(a_question_without_an_image_counts_nothing)
{
    static struct got got;
    static struct look look;
    struct vlqa_ask_options o = options_of(REUSE_OFF, 16);
    struct run r;
    REQUIRE(open(&r, 0, VLQA_DTYPE_AUTO));
    add_text(r.session, "A means Apples.");
    ask(r.session, &o, &got, &look);
    CHECK_EQ(look.n, 0);
    CHECK(look.score[0] == 0);
    run_close(&r);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
