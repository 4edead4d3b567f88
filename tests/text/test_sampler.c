/* test_sampler.c - what is left and how likely, as transformers; draws that repeat. */
#include "base/heap.h"
#include "base/json.h"
#include "tests/check.h"
#include "text/sampler.h"

#define CASES VLQA_SOURCE_DIR "/tests/golden/sampler.json"

static struct env env;

/* A sampler with its memory. */
struct own {
    struct sampler s;
    void *memory;
};

static struct own own(int vocab, uint64_t seed, float temperature)
{
    struct own o = {{.temperature = temperature, .top_p = 1, .repetition_penalty = 1}, NULL};
    struct arena mem = {0};
    sampler_layout(vocab, &mem, &o.s);
    o.memory = heap_alloc(mem.used);
    mem = arena_over(o.memory, mem.used);
    sampler_begin(&o.s, vocab, seed, &mem);
    return o;
}

static int numbers(const struct json *array, double *out)
{
    int n = 0;
    for (const struct json *v = json_first(array); v; v = json_next(v))
        out[n++] = json_number(v);
    return n;
}

static void setting(const struct json *c, const char *name, float *out)
{
    if (json_get(c, name)) *out = (float)json_number(json_get(c, name));
}

static void check_case(const struct json *c, int index)
{
    double value[300], probability[300];
    float logits[300], top_k = 0;
    int n = numbers(json_get(c, "logits"), value), left, n_kept;
    struct own o = own(n, 1, 1);
    double total = 0;
    for (int i = 0; i < n; i++)
        logits[i] = (float)value[i];
    setting(c, "temperature", &o.s.temperature);
    setting(c, "top_k", &top_k);
    setting(c, "top_p", &o.s.top_p);
    setting(c, "min_p", &o.s.min_p);
    setting(c, "repetition_penalty", &o.s.repetition_penalty);
    setting(c, "presence_penalty", &o.s.presence_penalty);
    o.s.top_k = (int)top_k;
    for (int i = numbers(json_get(c, "prompt"), value); i-- > 0;)
        sampler_see_prompt(&o.s, &(int32_t){(int32_t)value[i]}, 1);
    for (int i = numbers(json_get(c, "answer"), value); i-- > 0;)
        o.s.seen[(int)value[i]] |= 2;
    left = sampler_keep(&o.s, logits, n);
    for (int i = 0; i < left; i++)
        total += o.s.weight[o.s.order[i]];
    n_kept = numbers(json_get(c, "kept"), value);
    numbers(json_get(c, "probability"), probability);
    if (left != n_kept) CHECK_FAIL("case %d: %d ids left, expected %d", index, left, n_kept);
    for (int k = 0; k < n_kept; k++) {
        int id = (int)value[k], found = 0;
        for (int i = 0; i < left; i++)
            found |= o.s.order[i] == id;
        if (!found) CHECK_FAIL("case %d: id %d is not left", index, id);
        if (!(fabs(o.s.weight[id] / total - probability[k]) < 1e-6))
            CHECK_FAIL("case %d: id %d has %g, expected %g", index, id, o.s.weight[id] / total,
                       probability[k]);
    }
    heap_free(o.memory);
}

TEST(ids_left_and_their_probabilities_equal_transformers)
{
    struct json_doc *doc;
    int n = 0;
    REQUIRE(json_read(&env, CASES, 1 << 20, &doc) == VLQA_OK);
    for (const struct json *c = json_first(json_root(doc)); c; c = json_next(c))
        check_case(c, n++);
    CHECK(n > 30);
    json_free(doc);
}

TEST(draws_follow_the_probabilities)
{
    enum { N = 40000 };
    struct own o = own(5, 42, 1);
    double p[5] = {0.5, 0.25, 0.125, 0.0625, 0.0625};
    int count[5] = {0};
    for (int i = 0; i < N; i++) {
        float logits[5];
        for (int k = 0; k < 5; k++)
            logits[k] = (float)log(p[k]);
        count[sampler_pick(&o.s, logits, 5)]++;
    }
    for (int k = 0; k < 5; k++) /* four standard deviations */
        CHECK(fabs(count[k] - N * p[k]) < 4 * sqrt(N * p[k] * (1 - p[k])));
    heap_free(o.memory);
}

/* The generator is part of what a seed means: these ids may not change. */
TEST(equal_seeds_give_equal_draws)
{
    static const int32_t expected[] = {629, 119, 388, 727, 163, 982, 962, 178};
    struct own a = own(1000, 7, 1), b = own(1000, 7, 1), c = own(1000, 8, 1);
    int differ = 0;
    for (int i = 0; i < 8; i++) {
        float logits[1000] = {0}, same[1000] = {0}, other[1000] = {0};
        int32_t id = sampler_pick(&a.s, logits, 1000);
        CHECK_EQ(id, expected[i]);
        CHECK_EQ(sampler_pick(&b.s, same, 1000), id);
        differ += sampler_pick(&c.s, other, 1000) != id;
    }
    CHECK(differ > 4);
    heap_free(a.memory);
    heap_free(b.memory);
    heap_free(c.memory);
}

static int32_t greedy(float a, float b, float c, float d)
{
    struct own o = own(4, 0, 0);
    float logits[4] = {a, b, c, d};
    int32_t id = sampler_pick(&o.s, logits, 4);
    heap_free(o.memory);
    return id;
}

TEST(greedy_takes_the_lowest_id_of_the_largest)
{
    CHECK_EQ(greedy(1, 3, 2, 3), 1);
    CHECK_EQ(greedy(-1, -2, -1, -3), 0);
    CHECK_EQ(greedy(NAN, 1, NAN, 0), 1);
    CHECK_EQ(greedy(1, NAN, 2, NAN), 2);
    CHECK_EQ(greedy(NAN, NAN, -INFINITY, NAN), 2);
    CHECK_EQ(greedy(NAN, NAN, NAN, NAN), 0);
    CHECK_EQ(greedy(1, INFINITY, NAN, INFINITY), 1);
}

TEST(sampling_survives_nan_and_infinity)
{
    for (int seed = 0; seed < 50; seed++) {
        struct own o = own(4, (uint64_t)seed, 1);
        float all[4] = {NAN, NAN, NAN, NAN}, one[4] = {NAN, -INFINITY, 2, NAN};
        float top[4] = {1, INFINITY, NAN, 5}, low[4] = {-INFINITY, -INFINITY, NAN, -INFINITY};
        o.s.top_p = 0.9f;
        o.s.top_k = 3;
        CHECK_EQ(sampler_pick(&o.s, all, 4), 0);
        CHECK_EQ(sampler_pick(&o.s, one, 4), 2);
        CHECK_EQ(sampler_pick(&o.s, top, 4), 1);
        CHECK(sampler_pick(&o.s, low, 4) != 2);
        heap_free(o.memory);
    }
}

TEST(ids_without_a_token_are_never_picked)
{
    for (int seed = 0; seed < 50; seed++) {
        struct own o = own(6, (uint64_t)seed, seed % 2 ? 5.0f : 0.0f);
        float logits[6] = {1, 2, 3, 2, 50, 50};
        CHECK(sampler_pick(&o.s, logits, 4) < 4);
        heap_free(o.memory);
    }
}

TEST(what_is_picked_counts_as_answer)
{
    struct own o = own(3, 0, 0);
    o.s.presence_penalty = 5;
    for (int32_t id = 0; id < 3; id++) {
        float logits[3] = {3, 2, 1};
        CHECK_EQ(sampler_pick(&o.s, logits, 3), id);
    }
    heap_free(o.memory);
}

TEST(prompt_counts_for_repetition_and_not_for_presence)
{
    struct own o = own(3, 0, 0);
    float repeated[3] = {3, 2, 1}, present[3] = {3, 2, 1};
    sampler_see_prompt(&o.s, &(int32_t){0}, 1);
    o.s.presence_penalty = 5;
    CHECK_EQ(sampler_pick(&o.s, present, 3), 0);
    o.s.seen[0] = 1;
    o.s.presence_penalty = 0;
    o.s.repetition_penalty = 2;
    CHECK_EQ(sampler_pick(&o.s, repeated, 3), 1);
    heap_free(o.memory);
}

TEST(picking_makes_no_heap_call)
{
    struct own o = own(5000, 3, 0.8f);
    float *logits = heap_alloc_zero(5000 * sizeof *logits);
    uint64_t calls = heap_calls();
    o.s.top_k = 20;
    o.s.top_p = 0.8f;
    sampler_pick(&o.s, logits, 5000);
    CHECK_EQ(heap_calls(), calls);
    heap_free(logits);
    heap_free(o.memory);
}

/* HF generate runs its bias before the penalties, which then see the biased logit. */
TEST(bias_comes_before_penalties)
{
    static const int32_t token[] = {0, 2, 2};
    static const float bias[] = {-INFINITY, 1, 2};
    float logits[] = {9, 5, 3};
    struct own o = own(3, 1, 0);
    o.s.bias_token = token;
    o.s.bias = bias;
    o.s.n_bias = 3;
    CHECK_EQ(sampler_pick(&o.s, logits, 3), 2);
    CHECK(logits[0] == -INFINITY && logits[1] == 5 && logits[2] == 6);
    logits[0] = 9, logits[2] = 3;
    o.s.repetition_penalty = 2;
    sampler_see_prompt(&o.s, &(int32_t){2}, 1);
    CHECK_EQ(sampler_pick(&o.s, logits, 3), 1); /* (3 + 3) / 2 */
    CHECK(logits[2] == 3);
    heap_free(o.memory);
}

int main(int argc, char **argv)
{
    return check_main(argc, argv);
}
