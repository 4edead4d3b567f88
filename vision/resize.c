/* resize.c - the size that the model is given, and antialiased bicubic to get there. */
#include "vision/resize.h"

#include "base/arena.h"
#include "base/heap.h"
#include "base/pool.h"

#include <assert.h>
#include <limits.h>
#include <math.h>

#define MAX_SIDE_RATIO 200

/* All in double and in this order, as transformers computes it: a float would make 239 x 239
 * another size, round() would do so to 1280 x 720. */
vlqa_status resize_plan(struct env *env, const char *name, int width, int height, int factor,
                        int64_t min_pixels, int64_t max_pixels, int *out_width, int *out_height)
{
    double w = width, h = height, f = factor, area = w * h;
    double ratio = width > height ? w / h : h / w;
    double to_w = rint(w / f) * f, to_h = rint(h / f) * f; /* halves go to even */
    assert(width > 0 && height > 0 && factor > 0 && min_pixels > 0 && max_pixels > 0);
    if (ratio > MAX_SIDE_RATIO)
        return env_fail(env, VLQA_EIMAGE,
                        "%s: %d x %d pixels, one side is %.4g times the other, the limit is %d",
                        name, width, height, ratio, MAX_SIDE_RATIO);
    if (to_w * to_h > (double)max_pixels) {
        double beta = sqrt(area / (double)max_pixels);
        to_w = fmax(f, floor(w / beta / f) * f);
        to_h = fmax(f, floor(h / beta / f) * f);
    } else if (to_w * to_h < (double)min_pixels) {
        double beta = sqrt((double)min_pixels / area);
        to_w = ceil(w * beta / f) * f;
        to_h = ceil(h * beta / f) * f;
    }
    if (to_w > INT_MAX || to_h > INT_MAX)
        return env_fail(env, VLQA_EIMAGE, "%s: %.0f x %.0f pixels after resizing", name, to_w,
                        to_h);
    *out_width = (int)to_w;
    *out_height = (int)to_h;
    return VLQA_OK;
}

/* The weights of one axis in fixed point: output i is the sum over k < count[i] of
 * weight[i * taps + k] * input[first[i] + k], shifted right by bits. */
struct axis {
    int *first, *count;
    int32_t *weight;
    int taps, bits;
};

static double cubic(double x) /* a = -0.5 */
{
    x = fabs(x);
    if (x < 1.0) return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
    return 0.0;
}

/* The most fraction bits with which the largest weight stays within int16. */
static int int16_bits(double largest)
{
    for (int bits = 0; bits < 22; bits++)
        if ((int)(0.5 + largest * (double)(1 << (bits + 1))) >= 1 << 15) return bits;
    return 22;
}

/* Normalised weights and where they begin; returns the largest. */
static double axis_window(struct axis *axis, double *real, int from, int to)
{
    double scale = (double)from / to, stretch = fmax(scale, 1.0), support = 2.0 * stretch;
    double inverse = 1.0 / stretch, largest = 0.0;
    for (int i = 0; i < to; i++, real += axis->taps) {
        double centre = (i + 0.5) * scale, sum = 0.0;
        int begin = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > from ? from : end;
        for (int k = 0; k < end - begin; k++) {
            real[k] = cubic((k + begin - centre + 0.5) * inverse);
            sum += real[k];
        }
        for (int k = 0; k < end - begin; k++) {
            if (sum != 0.0) real[k] /= sum;
            largest = fmax(largest, real[k]);
        }
        axis->first[i] = begin;
        axis->count[i] = end - begin;
    }
    return largest;
}

static void axis_free(struct axis *axis)
{
    heap_free(axis->first);
    heap_free(axis->count);
    heap_free(axis->weight);
}

static vlqa_status axis_make(struct env *env, enum vlqa_resize mode, int from, int to,
                             struct axis *out)
{
    double support = 2.0 * fmax((double)from / to, 1.0);
    int taps = (int)ceil(support) * 2 + 1;
    size_t weights = (size_t)taps * (size_t)to;
    double *real = heap_alloc_zero(weights * sizeof *real), largest;
    *out = (struct axis){heap_alloc((size_t)to * sizeof(int)), heap_alloc((size_t)to * sizeof(int)),
                         heap_alloc(weights * sizeof(int32_t)), taps, 22};
    if (!real || !out->first || !out->count || !out->weight) {
        heap_free(real);
        axis_free(out);
        return env_no_memory(env, "resizing", weights * (sizeof *real + sizeof(int32_t)));
    }
    largest = axis_window(out, real, from, to);
    if (mode == VLQA_RESIZE_TORCHVISION) out->bits = int16_bits(largest);
    for (size_t i = 0; i < weights; i++)
        out->weight[i] = (int32_t)(real[i] * (double)(1 << out->bits) + (real[i] < 0 ? -0.5 : 0.5));
    heap_free(real);
    return VLQA_OK;
}

static uint8_t to_byte(int32_t sum, int bits)
{
    int32_t v = sum >> bits;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One pass over all rows of its output. */
struct pass {
    struct axis axis;
    const uint8_t *src;
    uint8_t *dst;
    size_t src_stride, dst_stride;
    int width; /* of the output, pixels */
};

/* The hot loops are compiled twice: the sums are of whole numbers, so their bits are the same. */
#if defined(__x86_64__)
#define WIDER __attribute__((target("avx2")))
#define HAS_WIDER __builtin_cpu_supports("avx2")
#else
#define WIDER
#define HAS_WIDER 0
#endif
#define IN_BOTH static inline __attribute__((always_inline))

/* Pixels [begin, end) of one row of the output. */
static void row_across(const struct pass *p, int y, int begin, int end)
{
    const struct axis *axis = &p->axis;
    const uint8_t *row = p->src + (size_t)y * p->src_stride;
    uint8_t *out = p->dst + (size_t)y * p->dst_stride + 3 * (size_t)begin;
    int32_t half = 1 << (axis->bits - 1);
    for (int x = begin; x < end; x++, out += 3) {
        const int32_t *weight = axis->weight + (size_t)x * (size_t)axis->taps;
        const uint8_t *in = row + (size_t)axis->first[x] * 3;
        int32_t r = half, g = half, b = half;
        for (int k = 0; k < axis->count[x]; k++, in += 3) {
            r += weight[k] * in[0];
            g += weight[k] * in[1];
            b += weight[k] * in[2];
        }
        out[0] = to_byte(r, axis->bits);
        out[1] = to_byte(g, axis->bits);
        out[2] = to_byte(b, axis->bits);
    }
}

#define LANES 16   /* rows that are summed side by side */
#define WINDOW 320 /* pixels of each that are turned at a time */

/* b = a with the highest bit of each place of 256 moved to its end: four times turn 16 x 16. */
IN_BOTH void interleave(uint8_t *restrict b, const uint8_t *restrict a)
{
    for (int i = 0; i < 128; i++) {
        b[2 * i] = a[i];
        b[2 * i + 1] = a[i + 128];
    }
}

/* out[i * LANES + r] = byte i of row r; out has room for whole blocks of LANES bytes. */
IN_BOTH void turn(const uint8_t *src, size_t stride, int bytes, uint8_t *out)
{
    uint8_t a[LANES * LANES] = {0}, b[LANES * LANES];
    for (int at = 0; at < bytes; at += LANES) {
        size_t n = bytes - at < LANES ? (size_t)(bytes - at) : LANES;
        for (int r = 0; r < LANES; r++)
            if (n == LANES)
                memcpy(a + r * LANES, src + (size_t)r * stride + at, LANES);
            else
                memcpy(a + r * LANES, src + (size_t)r * stride + at, n);
        interleave(b, a);
        interleave(a, b);
        interleave(b, a);
        interleave(out + at * LANES, b);
    }
}

/* Pixels [begin, end) of LANES rows, whose inputs fit into a window: they are turned so that the
 * rows are side by side, and each sum is LANES sums. */
IN_BOTH void window_across(const struct pass *p, int y, int begin, int end)
{
    const struct axis *axis = &p->axis;
    int first = axis->first[begin], last = axis->first[end - 1] + axis->count[end - 1];
    uint8_t in[WINDOW * 3 * LANES], out[3 * LANES]; /* 3 WINDOW is a multiple of LANES */
    int32_t sum[3 * LANES];
    turn(p->src + (size_t)y * p->src_stride + 3 * (size_t)first, p->src_stride, 3 * (last - first),
         in);
    for (int x = begin; x < end; x++) {
        const int32_t *weight = axis->weight + (size_t)x * (size_t)axis->taps;
        uint8_t *to = p->dst + (size_t)y * p->dst_stride + 3 * (size_t)x;
        for (int i = 0; i < 3 * LANES; i++)
            sum[i] = 1 << (axis->bits - 1);
        for (int k = 0; k < axis->count[x]; k++) {
            const uint8_t *from = in + (axis->first[x] - first + k) * 3 * LANES;
            for (int i = 0; i < 3 * LANES; i++)
                sum[i] += weight[k] * from[i];
        }
        for (int i = 0; i < 3 * LANES; i++)
            out[i] = to_byte(sum[i], axis->bits);
        for (int r = 0; r < LANES; r++, to += p->dst_stride)
            for (int c = 0; c < 3; c++)
                to[c] = out[c * LANES + r];
    }
}

WIDER static void window_across_wider(const struct pass *p, int y, int begin, int end)
{
    window_across(p, y, begin, end);
}

static void window_across_plain(const struct pass *p, int y, int begin, int end)
{
    window_across(p, y, begin, end);
}

static void lanes_across(const struct pass *p, int y)
{
    const struct axis *axis = &p->axis;
    int begin = 0, wider = HAS_WIDER;
    while (begin < p->width) {
        int end = begin;
        while (end < p->width && axis->first[end] + axis->count[end] - axis->first[begin] <= WINDOW)
            end++;
        if (end == begin) { /* a single one needs more */
            end++;
            for (int r = 0; r < LANES; r++)
                row_across(p, y + r, begin, end);
        } else if (wider)
            window_across_wider(p, y, begin, end);
        else
            window_across_plain(p, y, begin, end);
        begin = end;
    }
}

static void pass_across(void *arg, int begin, int end, int worker)
{
    const struct pass *p = arg;
    int y = begin;
    (void)worker;
    for (; y + LANES <= end; y += LANES)
        lanes_across(p, y);
    for (; y < end; y++)
        row_across(p, y, 0, p->width);
}

#define STRIP 1024 /* bytes of a row whose sums stay in the nearest cache */

IN_BOTH void strip_down(const struct pass *p, int y, size_t at, size_t n)
{
    const struct axis *axis = &p->axis;
    const int32_t *weight = axis->weight + (size_t)y * (size_t)axis->taps;
    const uint8_t *in = p->src + (size_t)axis->first[y] * p->src_stride + at;
    uint8_t *out = p->dst + (size_t)y * p->dst_stride + at;
    int32_t sum[STRIP];
    for (size_t i = 0; i < n; i++)
        sum[i] = 1 << (axis->bits - 1);
    for (int k = 0; k < axis->count[y]; k++, in += p->src_stride)
        for (size_t i = 0; i < n; i++)
            sum[i] += weight[k] * in[i];
    for (size_t i = 0; i < n; i++)
        out[i] = to_byte(sum[i], axis->bits);
}

WIDER static void strip_down_wider(const struct pass *p, int y, size_t at, size_t n)
{
    strip_down(p, y, at, n);
}

static void strip_down_plain(const struct pass *p, int y, size_t at, size_t n)
{
    strip_down(p, y, at, n);
}

static void pass_down(void *arg, int begin, int end, int worker)
{
    const struct pass *p = arg;
    size_t bytes = (size_t)p->width * 3;
    int wider = HAS_WIDER;
    (void)worker;
    for (int y = begin; y < end; y++)
        for (size_t at = 0; at < bytes; at += STRIP) {
            size_t n = bytes - at < STRIP ? bytes - at : STRIP;
            if (wider)
                strip_down_wider(p, y, at, n);
            else
                strip_down_plain(p, y, at, n);
        }
}

static vlqa_status resize_across(struct env *env, enum vlqa_resize mode, const uint8_t *src,
                                 size_t stride, int width, int height, uint8_t *dst, int dst_width)
{
    struct pass pass = {.src = src,
                        .dst = dst,
                        .src_stride = stride,
                        .dst_stride = (size_t)dst_width * 3,
                        .width = dst_width};
    TRY(axis_make(env, mode, width, dst_width, &pass.axis));
    pool_for(env->pool, height, LANES, pass_across, &pass);
    axis_free(&pass.axis);
    return VLQA_OK;
}

static vlqa_status resize_down(struct env *env, enum vlqa_resize mode, const uint8_t *src,
                               size_t stride, int width, int height, uint8_t *dst, int dst_height)
{
    struct pass pass = {.src = src,
                        .dst = dst,
                        .src_stride = stride,
                        .dst_stride = (size_t)width * 3,
                        .width = width};
    TRY(axis_make(env, mode, height, dst_height, &pass.axis));
    pool_for(env->pool, dst_height, 8, pass_down, &pass);
    axis_free(&pass.axis);
    return VLQA_OK;
}

static void copy_rows(const uint8_t *src, size_t stride, int width, int height, uint8_t *dst)
{
    size_t bytes = (size_t)width * 3;
    for (int y = 0; y < height; y++)
        memcpy(dst + (size_t)y * bytes, src + (size_t)y * stride, bytes);
}

vlqa_status resize_bicubic(struct env *env, enum vlqa_resize mode, const uint8_t *src, int width,
                           int height, size_t stride, uint8_t *dst, int dst_width, int dst_height)
{
    size_t bytes = (size_t)dst_width * 3;
    uint8_t *middle;
    vlqa_status status;
    assert(width > 0 && height > 0 && dst_width > 0 && dst_height > 0);
    assert(stride >= (size_t)width * 3);
    if (width == dst_width && height == dst_height) {
        copy_rows(src, stride, width, height, dst);
        return VLQA_OK;
    }
    if (width == dst_width)
        return resize_down(env, mode, src, stride, width, height, dst, dst_height);
    if (height == dst_height)
        return resize_across(env, mode, src, stride, width, height, dst, dst_width);

    if (!size_mul(&bytes, bytes, (size_t)height) || !(middle = heap_alloc(bytes)))
        return env_no_memory(env, "resizing", bytes);
    status = resize_across(env, mode, src, stride, width, height, middle, dst_width);
    if (status == VLQA_OK)
        status = resize_down(env, mode, middle, (size_t)dst_width * 3, dst_width, height, dst,
                             dst_height);
    heap_free(middle);
    return status;
}
