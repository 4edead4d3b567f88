/* select.c - the highest scores; ties and orders are decided, not left over. */
#include "fusion/reuse/select.h"

struct order {
    const float *score;
    const int32_t *rank; /* or NULL */
};

/* Higher score first; NaN last; equal scores: lower rank first, so that two machines choose alike.
 */
static int before(struct order by, int32_t a, int32_t b)
{
    float x = by.score[a], y = by.score[b];
    int first = by.rank ? by.rank[a] < by.rank[b] : a < b;
    if (x != x || y != y) return x == x || (y != y && first);
    return x > y || (x == y && first);
}

/* Heap with the worst of the best on top. */
static void sink(struct order by, int32_t *heap, int n, int at)
{
    for (;;) {
        int worst = at, left = 2 * at + 1, right = left + 1;
        int32_t swap = heap[at];
        if (left < n && before(by, heap[worst], heap[left])) worst = left;
        if (right < n && before(by, heap[worst], heap[right])) worst = right;
        if (worst == at) return;
        heap[at] = heap[worst];
        heap[worst] = swap;
        at = worst;
    }
}

int select_top(const float *score, const uint8_t *candidate, const int32_t *rank, int n, int budget,
               int32_t *order, uint8_t *chosen)
{
    struct order by = {score, rank};
    int size = 0;
    for (int i = 0; i < n; i++) {
        chosen[i] = 0;
        if (!candidate[i] || budget <= 0) continue;
        if (size < budget) {
            order[size++] = i;
            for (int at = size / 2 - 1; size == budget && at >= 0; at--)
                sink(by, order, size, at);
        } else if (before(by, i, order[0])) {
            order[0] = i;
            sink(by, order, size, 0);
        }
    }
    for (int i = 0; i < size; i++)
        chosen[order[i]] = 1;
    return size;
}

void select_sort(const float *score, const int32_t *rank, int32_t *order, int n)
{
    struct order by = {score, rank};
    for (int at = n / 2 - 1; at >= 0; at--)
        sink(by, order, n, at);
    for (int size = n; size > 1; size--) {
        int32_t worst = order[0];
        order[0] = order[size - 1];
        order[size - 1] = worst;
        sink(by, order, size - 1, 0);
    }
}

int select_count(const uint8_t *candidate, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += candidate[i] != 0;
    return sum;
}

int select_budget(float ratio, int n)
{
    double budget = (double)ratio * n;
    return budget >= n ? n : budget > 0 ? (int)budget : 0;
}
