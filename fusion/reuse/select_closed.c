/* select_closed.c - chosen cells of a grid without small gaps, at the same budget. */
#include "fusion/reuse/select.h"

#include <string.h>

/* sum[y, x]: set cells above y and to the left of x. */
static void sum_up(const uint8_t *cell, const struct select_grid *g, int32_t *sum)
{
    int stride = g->w + 1;
    memset(sum, 0, (size_t)stride * sizeof *sum);
    for (int y = 0; y < g->h; y++) {
        int32_t line = 0, *to = sum + (y + 1) * stride;
        to[0] = 0;
        for (int x = 0; x < g->w; x++) {
            line += cell[y * g->w + x];
            to[x + 1] = to[x + 1 - stride] + line;
        }
    }
}

static int clip(int at, int end)
{
    return at < 0 ? 0 : at > end ? end : at;
}

/* Whether the square around (y, x) has none of the set. */
static int is_empty(const int32_t *sum, const struct select_grid *g, int y, int x, int radius)
{
    int stride = g->w + 1, left = clip(x - radius, g->w), right = clip(x + radius + 1, g->w);
    const int32_t *top = sum + clip(y - radius, g->h) * stride;
    const int32_t *bottom = sum + clip(y + radius + 1, g->h) * stride;
    return bottom[right] - bottom[left] == top[right] - top[left];
}

static int is_closed(const int32_t *sum, const struct select_grid *g, int y, int x, int radius)
{
    for (int at_y = y - radius; at_y <= y + radius; at_y++)
        for (int at_x = x - radius; at_x <= x + radius; at_x++)
            if (is_empty(sum, g, at_y, at_x, radius)) return 0;
    return 1;
}

static void close_grid(uint8_t *cell, const struct select_grid *g, int radius, int32_t *sum)
{
    sum_up(cell, g, sum);
    for (int y = 0; y < g->h; y++)
        for (int x = 0; x < g->w; x++)
            cell[y * g->w + x] = (uint8_t)is_closed(sum, g, y, x, radius);
}

/* set: the first k of the order, closed. Returns how many candidates it has. */
static int close_first(const int32_t *order, int k, const uint8_t *candidate, int n,
                       const struct select_grid *grid, int n_grids, int radius, uint8_t *set,
                       int32_t *work)
{
    int count = 0;
    memset(set, 0, (size_t)n);
    for (int i = 0; i < k; i++)
        set[order[i]] = 1;
    for (int i = 0; i < n_grids; i++)
        close_grid(set + grid[i].first, &grid[i], radius, work);
    for (int i = 0; i < n; i++)
        count += set[i] = set[i] && candidate[i];
    return count;
}

int select_closed(const float *score, const uint8_t *candidate, int n, int budget,
                  const struct select_grid *grid, int n_grids, int radius, int32_t *order,
                  uint8_t *chosen, int32_t *work)
{
    int size = select_top(score, candidate, NULL, n, budget, order, chosen), low = 0, high = size,
        count;
    select_sort(score, NULL, order, size);
    while (low < high) { /* the more seeds, the more tokens once they are closed */
        int k = (low + high + 1) / 2;
        if (close_first(order, k, candidate, n, grid, n_grids, radius, chosen, work) <= size)
            low = k;
        else
            high = k - 1;
    }
    count = close_first(order, low, candidate, n, grid, n_grids, radius, chosen, work);
    for (int i = low; i < size && count < size; i++)
        if (!chosen[order[i]]) chosen[order[i]] = 1, count++;
    for (int i = size = 0; i < n; i++)
        if (chosen[i]) order[size++] = i;
    return size;
}
