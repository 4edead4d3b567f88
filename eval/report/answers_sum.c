/* answers_sum.c - sums over the rows of a variant, and pairs with those of full prefill. */
#include "eval/report/answers_sum.h"

#include "base/heap.h"

#include <math.h>
#include <string.h>

int answers_same_data(const struct answer_variant *a, const struct answer_variant *b)
{
    return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->metric, b->metric) == 0;
}

int answers_base(const struct answer_set *set, int variant)
{
    int found = -1;
    for (int i = 0; i < set->n_variants; i++) {
        const struct answer_variant *w = &set->variant[i];
        if (!w->is_full_prefill || !answers_same_data(w, &set->variant[variant])) continue;
        if (w->is_full_by_name) return i;
        if (found < 0) found = i;
    }
    return found;
}

/* ---- a variant ---- */

static void sum_times(const struct answer_row *row, int n, double ms[ANSWER_TIMES])
{
    for (int t = 0; t < ANSWER_TIMES; t++) {
        double sum = 0, count = 0;
        for (int i = 0; i < n; i++)
            if (!isnan(row[i].ms[t])) {
                sum += row[i].ms[t];
                count++;
            }
        ms[t] = sum / count;
    }
}

static double work_of(const struct answer_row *row, int n, int is_full_by_name)
{
    double recomputed = 0, total = 0;
    if (is_full_by_name) return 1;
    for (int i = 0; i < n; i++)
        if (!isnan(row[i].recomputed) && row[i].total >= 1) {
            recomputed += row[i].recomputed;
            total += row[i].total;
        }
    return recomputed / total;
}

static void sum_costs(const struct answer_row *row, int n, struct answer_sum *s)
{
    double n_rows = 0, n_flops = 0;
    for (int i = 0; i < n; i++) {
        if (!isnan(row[i].recomputed)) s->tokens += row[i].recomputed;
        if (!isnan(row[i].flops)) s->flops += row[i].flops;
        n_rows += !isnan(row[i].recomputed);
        n_flops += !isnan(row[i].flops);
    }
    s->tokens /= n_rows;
    s->flops /= n_flops;
}

struct pairs { /* room for those of all rows */
    double *x, *y;
    uint64_t *group;
    struct stats_work *work;
    int n;
};

static void add_pair(struct pairs *p, const struct answer_row *row, double x, double y)
{
    p->x[p->n] = x;
    p->y[p->n] = y;
    p->group[p->n++] = row->documents;
}

/* The mean of a member of the rows. */
static struct stats_interval divergence(const struct answer_row *row, int n, size_t member,
                                        struct pairs *p)
{
    p->n = 0;
    for (int i = 0; i < n; i++) {
        double kl = *(const double *)(const void *)((const char *)&row[i] + member);
        if (!isnan(kl)) add_pair(p, &row[i], kl, 1);
    }
    return stats_ratio(p->x, NULL, p->group, p->n, 0, p->work);
}

/* The way without repair that has the chunks of another; -1. */
static int find_none(const struct answer_set *set, int variant)
{
    const struct answer_variant *w = &set->variant[variant];
    for (int i = 0; i < set->n_variants; i++)
        if (answers_same_data(&set->variant[i], w) && strcmp(set->variant[i].name, "none") == 0 &&
            strcmp(set->variant[i].chunk, w->chunk) == 0)
            return i;
    return -1;
}

/* Over the questions that both have. */
static struct stats_interval gap(const struct answer_set *set, int variant, struct pairs *p)
{
    int none = find_none(set, variant), begin, end = answers_of(set, variant, &begin);
    p->n = 0;
    for (int i = begin; i < end && none >= 0; i++) {
        const struct answer_row *row = &set->row[i], *other = answers_find(set, none, row->key);
        if (!other || isnan(other->kl_answer) || isnan(row->kl_answer)) continue;
        add_pair(p, row, row->kl_answer, other->kl_answer);
    }
    return stats_share(p->x, p->y, p->group, p->n, 0, p->work);
}

static void compare(const struct answer_set *set, const struct answer_row *row, struct pairs *p,
                    struct answer_sum *s)
{
    p->n = 0;
    for (int i = 0; i < s->n; i++) {
        const struct answer_row *full = answers_find(set, s->base, row[i].key);
        if (full) add_pair(p, &row[i], full->score, row[i].score);
    }
    if (p->n) s->pair = stats_compare(p->x, p->y, p->group, p->n, 0, p->work);
}

static int documents(const struct answer_row *row, int n, struct pairs *p)
{
    p->n = 0;
    for (int i = 0; i < n; i++)
        add_pair(p, &row[i], 0, 0);
    return stats_groups(p->group, n, p->work);
}

static void sum_variant(const struct answer_set *set, int variant, struct pairs *p,
                        struct answer_sum *s)
{
    int begin, end = answers_of(set, variant, &begin);
    const struct answer_row *row = set->row + begin;
    *s = (struct answer_sum){.n = end - begin, .base = answers_base(set, variant)};
    s->documents = documents(row, s->n, p);
    for (int i = 0; i < s->n; i++)
        s->mean += row[i].score / s->n;
    s->work = work_of(row, s->n, set->variant[variant].is_full_by_name);
    sum_costs(row, s->n, s);
    s->kl = divergence(row, s->n, offsetof(struct answer_row, kl), p);
    s->kl_answer = divergence(row, s->n, offsetof(struct answer_row, kl_answer), p);
    for (size_t i = 0; i < ANSWER_DISTANCES; i++)
        s->kl_at[i] =
            divergence(row, s->n, offsetof(struct answer_row, kl_at) + i * sizeof row->kl_at[0], p);
    s->gap = gap(set, variant, p);
    sum_times(row, s->n, s->ms);
    if (s->base == variant) s->base = -1;
    if (s->base >= 0) compare(set, row, p, s);
}

vlqa_status answers_sum(struct env *env, const struct answer_set *set, struct answer_sum *out)
{
    size_t n = (size_t)set->n, work = stats_work_bytes(set->n);
    size_t bytes = work + n * (2 * sizeof(double) + sizeof(uint64_t));
    struct pairs p = {.work = heap_alloc(bytes)};
    if (!p.work) return env_no_memory(env, "pairs", bytes);
    p.x = (double *)(void *)((char *)p.work + work);
    p.y = p.x + n;
    p.group = (uint64_t *)(void *)(p.y + n);
    for (int i = 0; i < set->n_variants; i++)
        sum_variant(set, i, &p, &out[i]);
    heap_free(p.work);
    return VLQA_OK;
}

/* ---- categories ---- */

struct answer_mean answers_group_mean(const struct answer_set *set, int variant,
                                      enum answer_group group, const char *name)
{
    int begin, end = answers_of(set, variant, &begin);
    struct answer_mean m = {0, 0, 0};
    for (int i = begin; i < end; i++)
        if (strcmp(set->row[i].group[group], name) == 0) {
            m.mean += set->row[i].score;
            m.documents += set->row[i].is_first[group];
            m.n++;
        }
    m.mean /= m.n;
    return m;
}

static int insert_category(const char **out, int n, int cap, const char *name)
{
    int at = 0;
    while (at < n && strcmp(out[at], name) < 0)
        at++;
    if (!*name || n == cap || (at < n && strcmp(out[at], name) == 0)) return n;
    memmove(out + at + 1, out + at, (size_t)(n - at) * sizeof *out);
    out[at] = name;
    return n + 1;
}

int answers_groups(const struct answer_set *set, int variant, enum answer_group group,
                   const char **out, int cap)
{
    int n = 0;
    for (int i = 0; i < set->n; i++)
        if (answers_same_data(&set->variant[set->row[i].variant], &set->variant[variant]))
            n = insert_category(out, n, cap, set->row[i].group[group]);
    return n;
}

/* ---- losses ---- */

static int is_worse(const struct answer_loss *a, const struct answer_loss *b)
{
    double x = a->loss > 0 ? a->loss : 0, y = b->loss > 0 ? b->loss : 0;
    if (x < y || x > y) return x > y;
    if (a->row->score < b->row->score || a->row->score > b->row->score)
        return a->row->score < b->row->score;
    if (a->row->path != b->row->path) return a->row->variant < b->row->variant;
    return a->row->line < b->row->line;
}

static int same_question(const struct answer_set *set, const struct answer_row *a,
                         const struct answer_row *b)
{
    return a->key == b->key &&
           answers_same_data(&set->variant[a->variant], &set->variant[b->variant]);
}

/* Of answers to one question that are equally bad, what shows more: not full prefill, and the more
 * rows were computed in vain. */
static int shows_more(const struct answer_loss *a, const struct answer_loss *b)
{
    if ((a->row == a->full) != (b->row == b->full)) return b->row == b->full;
    return a->row->recomputed > b->row->recomputed;
}

static int is_equal(const struct answer_loss *a, const struct answer_loss *b)
{
    return !(a->loss < b->loss || a->loss > b->loss || a->row->score < b->row->score ||
             a->row->score > b->row->score);
}

/* Into a list that is sorted, with one entry a question. */
static int insert_loss(const struct answer_set *set, struct answer_loss *out, int n, int cap,
                       struct answer_loss loss)
{
    int at = n;
    for (int i = 0; i < n; i++)
        if (same_question(set, out[i].row, loss.row)) {
            if (is_equal(&loss, &out[i]) ? !shows_more(&loss, &out[i]) : !is_worse(&loss, &out[i]))
                return n;
            memmove(out + i, out + i + 1, (size_t)(n - i - 1) * sizeof *out);
            at = --n;
            break;
        }
    while (at > 0 && is_worse(&loss, &out[at - 1]))
        at--;
    if (at == cap) return n;
    if (n == cap) n--;
    memmove(out + at + 1, out + at, (size_t)(n - at) * sizeof *out);
    out[at] = loss;
    return n + 1;
}

int answers_worst(const struct answer_set *set, struct answer_loss *out, int cap)
{
    int n = 0;
    for (int w = 0; w < set->n_variants; w++) {
        int base = answers_base(set, w), begin, end = answers_of(set, w, &begin);
        for (int i = begin; i < end; i++) {
            struct answer_loss loss = {.row = &set->row[i]};
            if (loss.row->score >= 1) continue;
            if (base >= 0) loss.full = answers_find(set, base, loss.row->key);
            if (loss.full) loss.loss = loss.full->score - loss.row->score;
            n = insert_loss(set, out, n, cap, loss);
        }
    }
    return n;
}
