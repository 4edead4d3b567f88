/* emu_lt.cu - what cuda_lt.cuh asks of cuBLASLt, by the host: an algorithm whose rows are alone,
 * and some whose rows are not, which it proposes first. */
#include "tests/cuda/emu_lt.h"

#include <stdio.h>

namespace lt
{
struct library {
    int opened;
};

static bool missing;

void emu_miss(bool is_missing)
{
    missing = is_missing;
}

struct library *open(const struct cuda_host *host, char why[512])
{
    struct library *l = missing ? nullptr : (struct library *)host->alloc_zero(sizeof *l);
    if (!l) snprintf(why, 512, missing ? "libcublasLt.so.13: there is none" : "out of memory");
    return l;
}

void close(const struct cuda_host *host, struct library *l)
{
    if (l) host->free(l);
}

size_t version(const struct library *l)
{
    (void)l;
    return 130100;
}

int most_rows(const struct library *l)
{
    (void)l;
    return 64;
}

int find(struct library *l, const struct product *p, struct algo found[MOST_FOUND])
{
    const int many[] = {EMU_BY_PLACE, EMU_OTHER_FOR_FEW, EMU_REFUSES, EMU_ASCENDING};
    const int few[] = {EMU_SPLIT, EMU_BY_PLACE, EMU_SAME_BITS, EMU_ASCENDING};
    (void)l;
    memset(found, 0, MOST_FOUND * sizeof *found);
    for (int i = 0; i < 4; i++)
        found[i].data[0] = (uint64_t)(p->x.rows > 16 ? many[i] : few[i]);
    return 4;
}

/* Inputs [begin, end) by sixteen, as tensor cores are emulated to add them. */
static float sum_of(const uint16_t *x, const uint16_t *w, int begin, int end, float sum)
{
    for (int k = begin; k < end; k += 16) {
        double block = sum;
        for (int i = k; i < k + 16 && i < end; i++)
            block += (double)(bf16_float(x[i]) * bf16_float(w[i]));
        sum = (float)block;
    }
    return sum;
}

static float result_of(const struct product &p, int algo, int row, int o)
{
    const uint16_t *x = (const uint16_t *)p.x.data + (size_t)row * (size_t)p.x.stride;
    const uint16_t *w = (const uint16_t *)p.w.data + (size_t)o * (size_t)p.w.cols;
    int n = p.w.cols, half = (n / 2 + 15) / 16 * 16;
    bool split = algo == EMU_SPLIT || (algo == EMU_BY_PLACE && row % 2) ||
                 (algo == EMU_OTHER_FOR_FEW && p.x.rows <= 16);
    float sum = split ? sum_of(x, w, half, n, 0) + sum_of(x, w, 0, half, 0) : sum_of(x, w, 0, n, 0);
    return p.bias ? sum + p.bias[o] : sum;
}

cudaError_t enqueue(struct library *l, const struct product *p, const struct algo *algo,
                    cudaStream_t stream)
{
    struct product a = *p;
    int which = (int)algo->data[0];
    (void)l;
    if (which == EMU_REFUSES) return cudaErrorNotSupported;
    return stub::push(stream, [a, which] {
        for (int row = 0; row < a.x.rows; row++)
            for (int o = 0; o < a.w.rows; o++) {
                size_t at = (size_t)row * (size_t)a.y.stride + (size_t)o;
                ((float *)a.y.data)[at] = result_of(a, which, row, o);
            }
    });
}
} // namespace lt
