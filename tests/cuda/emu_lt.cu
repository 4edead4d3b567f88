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

bool common_open(struct library *l, const struct product *p, struct common *out)
{
    (void)l, (void)p, (void)out;
    return true;
}

void common_close(struct library *l, struct common *c)
{
    (void)l, (void)c;
}

int find(struct library *l, const struct common *c, const struct product *p,
         struct algo found[MOST_FOUND])
{
    const int many[] = {EMU_BY_PLACE, EMU_OTHER_FOR_FEW, EMU_REFUSES, EMU_ASCENDING};
    const int few[] = {EMU_SPLIT, EMU_BY_PLACE,
                       p->w.rows == EMU_OUTPUTS_FROM_Y ? EMU_FROM_Y : EMU_SAME_BITS, EMU_ASCENDING};
    (void)l, (void)c;
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

/* y is added before the bias, as the library has it: its bits are not those of a sum behind both.
 */
static float result_of(const struct product &p, int algo, int row, int o, float y)
{
    const uint16_t *x = (const uint16_t *)p.x.data + (size_t)row * (size_t)p.x.stride;
    const uint16_t *w = (const uint16_t *)p.w.data + (size_t)o * (size_t)p.w.cols;
    int n = p.w.cols, half = (n / 2 + 15) / 16 * 16;
    bool split = algo == EMU_SPLIT || (algo == EMU_BY_PLACE && row % 2) ||
                 (algo == EMU_OTHER_FOR_FEW && p.x.rows <= 16);
    bool from_y = p.adds && algo == EMU_FROM_Y;
    float sum = split ? sum_of(x, w, half, n, 0) + sum_of(x, w, 0, half, 0)
                      : sum_of(x, w, 0, n, from_y ? y : 0);
    if (p.adds && !from_y) sum += y;
    return p.bias ? sum + p.bias[o] : sum;
}

cudaError_t enqueue(struct library *l, const struct common *c, const struct product *p,
                    const struct algo *algo, cudaStream_t stream)
{
    struct product a = *p;
    int which = (int)algo->data[0];
    (void)l, (void)c;
    if (which == EMU_REFUSES) return cudaErrorNotSupported;
    return stub::push(stream, [a, which] {
        for (int row = 0; row < a.x.rows; row++)
            for (int o = 0; o < a.w.rows; o++) {
                float *y = (float *)a.y.data + (size_t)row * (size_t)a.y.stride + o;
                *y = result_of(a, which, row, o, *y);
            }
    });
}
} // namespace lt
