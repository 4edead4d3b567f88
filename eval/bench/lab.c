/* lab.c - memory, random values and rotating weights for operations that are timed. */
#include "eval/bench/lab.h"

#include "base/heap.h"

#include <stdio.h>

#define FILL 4096 /* values that are made at a time */

void cases_add(struct cases *list, struct op_case c)
{
    assert(list->n < MAX_CASES);
    list->at[list->n++] = c;
}

/* splitmix64, -1 to 1 */
static float next_value(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)(int32_t)((z ^ (z >> 31)) >> 32) / 2147483648.0f;
}

static void fill(struct lab *lab, struct mat m)
{
    float wide[FILL];
    uint16_t half[FILL];
    size_t n = (size_t)m.rows * (size_t)m.cols, size = dtype_size(m.dtype);
    for (size_t at = 0; at < n; at += FILL) {
        size_t count = n - at < FILL ? n - at : FILL;
        for (size_t i = 0; i < count; i++) {
            wide[i] = next_value(&lab->seed);
            half[i] = f32_to_bf16(wide[i]);
        }
        queue_upload(lab->queue, (char *)m.data + at * size,
                     m.dtype == DT_F32 ? (const void *)wide : half, count * size);
    }
}

struct mat lab_mat(struct lab *lab, struct workspace *ws, enum dtype dtype, int rows, int cols)
{
    struct mat m = workspace_mat(ws, dtype, rows, cols);
    if (m.data && !dtype_is_quantised(dtype)) fill(lab, m);
    return m;
}

struct ints lab_index(struct lab *lab, struct workspace *ws, int n, int limit)
{
    struct header h = header_push(lab->device, ws, (size_t)n * sizeof(int32_t));
    int32_t *to;
    struct ints index = header_ints(&h, n, &to);
    if (!ws->host.base && !ws->device.base) return index;
    for (int i = 0; i < n; i++) /* 7919 is prime and divides no size here */
        to[i] = (int32_t)((int64_t)i * 7919 % limit);
    header_send(lab->queue, &h);
    return index;
}

struct spans lab_spans(struct lab *lab, struct workspace *ws, int n, int keys, int all)
{
    struct header h = header_push(lab->device, ws, (size_t)n * sizeof(struct span));
    struct span *to;
    struct spans spans = header_spans(&h, n, &to);
    if (!ws->host.base && !ws->device.base) return spans;
    for (int i = 0; i < n; i++)
        to[i] = (struct span){0, 0, all ? keys : keys - n + i + 1};
    header_send(lab->queue, &h);
    return spans;
}

/* ---- weights ---- */

static vlqa_status gather(struct lab *lab, struct lab_weights *w, enum weights_pass pass,
                          struct arena *mem, int rows, int cols, enum weight_format format)
{
    struct weights ask = {.pass = pass,
                          .env = lab->env,
                          .queue = lab->queue,
                          .files = w->files,
                          .mem = mem,
                          .compute = lab->text.compute,
                          .wanted = format};
    for (int i = 0; i < w->n; i++)
        TRY(weights_get2(&ask, &w->at[i], rows, cols, "bench.%d", i));
    return VLQA_OK;
}

static vlqa_status fill_weights(struct lab *lab, struct lab_weights *w, int rows, int cols,
                                enum weight_format format)
{
    struct arena mem = {.base = NULL};
    TRY(st_open_random(lab->env, lab->seed, &w->files));
    w->at = heap_alloc_zero((size_t)w->n * sizeof *w->at);
    if (!w->at) return env_no_memory(lab->env, "weights", (size_t)w->n * sizeof *w->at);
    TRY(gather(lab, w, WEIGHTS_MEASURE, &mem, rows, cols, format));
    w->block = device_alloc(lab->device, mem.peak);
    if (!w->block) return env_no_memory(lab->env, "weights", mem.peak);
    if (device_shares_host(lab->device)) heap_large_pages(w->block, mem.peak);
    w->bytes = (double)k_weight_bytes(lab->device, w->at[0]);
    mem = arena_over(w->block, mem.peak);
    return gather(lab, w, WEIGHTS_FILL, &mem, rows, cols, format);
}

vlqa_status lab_weights_open(struct lab *lab, int rows, int cols, enum weight_format format,
                             struct lab_weights *out)
{
    size_t values = (size_t)rows * (size_t)cols; /* the least bytes that they take */
    size_t bytes = format == WEIGHT_INT4   ? values / 2
                   : format == WEIGHT_INT8 ? values
                                           : values * sizeof(uint16_t);
    *out = (struct lab_weights){.env = lab->env, .n = (int)((lab->rotation + bytes - 1) / bytes)};
    return fill_weights(lab, out, rows, cols, format);
}

void lab_weights_close(struct lab *lab, struct lab_weights *w)
{
    device_release(lab->device, w->block);
    st_close(w->files);
    heap_free(w->at);
    *w = (struct lab_weights){0};
}

float *lab_weights_values(const struct lab_weights *w, int i)
{
    char name[32];
    const struct st_tensor *t;
    uint16_t *half;
    float *wide;
    (void)snprintf(name, sizeof name, "bench.%d", i);
    t = st_find(w->files, name);
    wide = heap_alloc(t->bytes * 2);
    half = heap_alloc(t->bytes); /* bf16, as random tensors are */
    if (wide && half && st_read(w->env, w->files, t, 0, half, t->bytes) == VLQA_OK)
        for (size_t k = 0; k < t->bytes / 2; k++)
            wide[k] = bf16_to_f32(half[k]);
    heap_free(half);
    return wide;
}
