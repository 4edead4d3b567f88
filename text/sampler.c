/* sampler.c - bias, penalties, temperature, cuts and the draw, in the order of transformers. */
#include "text/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { IN_PROMPT = 1, IN_ANSWER = 2 };

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* xoroshiro128++ 1.0 (Blackman and Vigna, public domain), the top 53 bits: [0, 1). */
static double draw(uint64_t state[2])
{
    uint64_t a = state[0], b = state[1], x = rotate(a + b, 17) + a;
    b ^= a;
    state[0] = rotate(a, 49) ^ b ^ b << 21;
    state[1] = rotate(b, 28);
    return (double)(x >> 11) * 0x1p-53;
}

void sampler_layout(int vocab, struct arena *mem, struct sampler *s)
{
    s->vocab = vocab;
    s->weight = arena_push(mem, (size_t)vocab * sizeof *s->weight);
    s->order = arena_push(mem, (size_t)vocab * sizeof *s->order);
    s->seen = arena_push(mem, (size_t)vocab * sizeof *s->seen);
}

void sampler_begin(struct sampler *s, int vocab, uint64_t seed, struct arena *mem)
{
    sampler_layout(vocab, mem, s);
    memset(s->seen, 0, (size_t)vocab * sizeof *s->seen);
    s->state[0] = splitmix64(&seed);
    s->state[1] = splitmix64(&seed);
}

void sampler_see_prompt(struct sampler *s, const int32_t *id, int n)
{
    for (int i = 0; i < n; i++)
        s->seen[id[i]] |= IN_PROMPT;
}

/* Bias and penalties. */
static void penalise(const struct sampler *s, float *logits, int known)
{
    assert(known > 0 && known <= s->vocab);
    for (int i = 0; i < s->n_bias; i++)
        logits[s->bias_token[i]] += s->bias[i];
    if (s->repetition_penalty == 1.0f && s->presence_penalty == 0.0f) return;
    for (int i = 0; i < known; i++) {
        if (s->seen[i] && s->repetition_penalty != 1.0f)
            logits[i] = logits[i] < 0.0f ? logits[i] * s->repetition_penalty
                                         : logits[i] / s->repetition_penalty;
        if (s->seen[i] & IN_ANSWER) logits[i] -= s->presence_penalty;
    }
}

/* Lowest id among the largest; 0 when all are NaN. */
static int32_t largest(const float *logits, int known)
{
    int32_t best = 0;
    for (int32_t i = 1; i < known; i++)
        if (logits[i] > logits[best] || (isnan(logits[best]) && !isnan(logits[i]))) best = i;
    return best;
}

/* ---- a heap of ids, the largest logit on top; popped ids gather behind it in rising order ---- */

/* Of equal logits the higher id stands first: transformers sorts them rising and top-p cuts from
 * the low end, so the lower ids go first. */
static int before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a > b);
}

static void sink(const float *logits, int32_t *order, int n, int at)
{
    int32_t id = order[at];
    int child;
    while ((child = 2 * at + 1) < n) {
        if (child + 1 < n && before(logits, order[child + 1], order[child])) child++;
        if (!before(logits, order[child], id)) break;
        order[at] = order[child];
        at = child;
    }
    order[at] = id;
}

static void pop(const float *logits, int32_t *order, int n)
{
    int32_t top = order[0];
    order[0] = order[n - 1];
    sink(logits, order, n - 1, 0);
    order[n - 1] = top;
}

/* How many of the n ids in order the cuts leave: the last ones of order. */
static int cut(const struct sampler *s, const float *logits, int n)
{
    int kept = n, popped = 0;
    int by_k = s->top_k > 0 && s->top_k < n, by_p = s->top_p < 1.0f;
    double total = 0, above = 0;
    if (!by_k && !by_p) return n;
    for (int at = n / 2; at-- > 0;)
        sink(logits, s->order, n, at);
    if (by_k) { /* and all that equal the last one */
        for (kept = 0; kept < n; kept++) {
            if (kept >= s->top_k && logits[s->order[0]] < logits[s->order[n - kept]]) break;
            pop(logits, s->order, n - kept);
        }
        popped = kept;
    }
    if (!by_p) return kept;
    for (int i = n - kept; i < n; i++)
        total += s->weight[s->order[i]];
    for (int i = 0; i < kept; i++) {
        if (i > 0 && above >= (double)s->top_p * total) return i;
        if (i >= popped) pop(logits, s->order, n - i);
        above += s->weight[s->order[n - 1 - i]];
    }
    return kept;
}

int sampler_keep(struct sampler *s, float *logits, int known)
{
    float max;
    int n = 0, kept, left = 0;
    penalise(s, logits, known);
    max = logits[largest(logits, known)];
    for (int32_t i = 0; i < known; i++) {
        if (isnan(logits[i])) continue;
        s->weight[i] =
            logits[i] == max ? 1 : exp(((double)logits[i] - (double)max) / (double)s->temperature);
        s->order[n++] = i;
    }
    kept = cut(s, logits, n);
    for (int i = n - kept; i < n; i++) { /* min-p: the largest weight is 1 */
        double weight = s->weight[s->order[i]];
        if (weight > 0 && weight >= (double)s->min_p) s->order[left++] = s->order[i];
    }
    return left;
}

static int32_t sample(struct sampler *s, float *logits, int known)
{
    int n = sampler_keep(s, logits, known);
    double total = 0, at;
    for (int i = 0; i < n; i++)
        total += s->weight[s->order[i]];
    at = draw(s->state) * total;
    for (int i = 0; i < n; i++) {
        at -= s->weight[s->order[i]];
        if (at < 0) return s->order[i];
    }
    return n ? s->order[n - 1] : 0; /* rounding; nothing but NaN */
}

int32_t sampler_pick(struct sampler *s, float *logits, int known)
{
    int32_t id;
    if (s->temperature > 0.0f) {
        id = sample(s, logits, known);
    } else {
        penalise(s, logits, known);
        id = largest(logits, known);
    }
    s->seen[id] |= IN_ANSWER;
    return id;
}
