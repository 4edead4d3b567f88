/* evidence.c - the tokens of the highest scores, neighbours joined, as boxes of source pixels. */
#include "fusion/reuse/evidence.h"

#include "fusion/reuse/select.h"

#include <math.h>
#include <string.h>

struct work {
    uint8_t *candidate, *chosen; /* [n] tokens */
    int32_t *list;               /* [n] */
};

static struct work push_work(int n, struct arena *mem)
{
    size_t rows = (size_t)n;
    struct work w = {.candidate = arena_push(mem, rows), .chosen = arena_push(mem, rows)};
    w.list = arena_push(mem, rows * sizeof *w.list);
    return w;
}

void evidence_measure(int n, struct arena *dry)
{
    size_t mark = arena_mark(dry);
    (void)push_work(n, dry);
    arena_rewind(dry, mark);
}

struct region { /* cells of a grid, the ends not included */
    int top, left, bottom, right;
    float score;
};

/* Takes the chosen cells that are connected with `cell` out; list is work. */
static struct region take_region(const struct vlqa_placed_image *im, const float *score,
                                 uint8_t *chosen, int cell, int32_t *list)
{
    struct region r = {im->grid_h, im->grid_w, 0, 0, score[im->first_token + cell]};
    int n = 0;
    chosen[im->first_token + cell] = 0;
    list[n++] = cell;
    while (n) {
        int at = list[--n], y = at / im->grid_w, x = at % im->grid_w;
        const int next[4][2] = {{y - 1, x}, {y, x - 1}, {y, x + 1}, {y + 1, x}};
        r.top = y < r.top ? y : r.top;
        r.left = x < r.left ? x : r.left;
        r.bottom = y >= r.bottom ? y + 1 : r.bottom;
        r.right = x >= r.right ? x + 1 : r.right;
        if (score[im->first_token + at] > r.score) r.score = score[im->first_token + at];
        for (int i = 0; i < 4; i++) {
            int to = next[i][0] * im->grid_w + next[i][1];
            if (next[i][0] < 0 || next[i][0] >= im->grid_h || next[i][1] < 0 ||
                next[i][1] >= im->grid_w || !chosen[im->first_token + to])
                continue;
            chosen[im->first_token + to] = 0;
            list[n++] = to;
        }
    }
    return r;
}

/* A grid covers its image whole: cells [begin, end) of `cells` as pixels of `side`, rounded
 * outwards. */
static void pixels_of(int begin, int end, int cells, int side, int *first, int *count)
{
    int64_t low = (int64_t)begin * side / cells;
    int64_t high = ((int64_t)end * side + cells - 1) / cells;
    *first = (int)low;
    *count = (int)(high - low);
}

/* Keeps the list sorted: the highest score first, equal ones as they come. */
static int insert(struct vlqa_evidence *list, int n, int most, struct vlqa_evidence e)
{
    int at = n < most ? n++ : most;
    if (at == most) {
        if (!most || list[most - 1].score >= e.score) return n;
        at = most - 1;
    }
    for (; at > 0 && list[at - 1].score < e.score; at--)
        list[at] = list[at - 1];
    list[at] = e;
    return n;
}

static void mark_candidates(const float *score, const struct vlqa_placed_image *im,
                            uint8_t *candidate)
{
    for (int i = im->first_token; i < im->first_token + im->grid_h * im->grid_w; i++)
        candidate[i] = isfinite(score[i]) && score[i] > 0;
}

/* Returns how many of the list are used, from `found` on. */
static int add_regions(const float *score, const struct vlqa_placed_image *im, int image, int most,
                       struct work *w, int found, struct vlqa_evidence *out)
{
    for (int cell = 0; cell < im->grid_h * im->grid_w; cell++) {
        struct vlqa_evidence e = {.image = image};
        struct region r;
        if (!w->chosen[im->first_token + cell]) continue;
        r = take_region(im, score, w->chosen, cell, w->list);
        pixels_of(r.left, r.right, im->grid_w, im->width, &e.x, &e.width);
        pixels_of(r.top, r.bottom, im->grid_h, im->height, &e.y, &e.height);
        e.score = r.score;
        found = insert(out, found, most, e);
    }
    return found;
}

int evidence_find(const float *score, int n, const struct vlqa_placed_image *image, int n_images,
                  struct evidence_bounds bounds, struct arena *scratch,
                  struct vlqa_evidence out[EVIDENCE_MAX])
{
    size_t mark = arena_mark(scratch);
    struct work w = push_work(n, scratch);
    int found = 0, rows = 0;
    memset(w.candidate, 0, (size_t)n);
    for (int i = 0; i < n_images; i++) {
        mark_candidates(score, &image[i], w.candidate);
        rows += image[i].grid_h * image[i].grid_w;
    }
    (void)select_top(score, w.candidate, NULL, n, select_budget(bounds.share, rows) + 1, w.list,
                     w.chosen);
    for (int i = 0; i < n_images; i++)
        found = add_regions(score, &image[i], i, bounds.most, &w, found, out);
    arena_rewind(scratch, mark);
    return found;
}
