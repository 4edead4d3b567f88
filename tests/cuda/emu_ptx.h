/* emu_ptx.h - what CUDA C++ and device.cuh give a kernel, in the names of both, over emu_block.h.
 *
 * Barriers, shuffles, ldmatrix and products of matrices meet: the last thread to arrive does the
 * work of all. Exchanges go through memory that sanitizers do not watch, because they order
 * nothing. */
#ifndef TESTS_CUDA_EMU_PTX_H
#define TESTS_CUDA_EMU_PTX_H

#include "tests/cuda/emu_block.h"

#define __global__
#define __device__
#define __host__
#define __restrict__
#define __launch_bounds__(...)
#define UNROLL
#define DEVICE static inline
#define HOST_DEVICE static inline
#define SHARED(type, name) type &name = *(type *)emu::shared(sizeof(type))
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
static inline float2 make_float2(float x, float y)
{
    return float2{x, y};
}

#define threadIdx (emu::s.now->tid)
#define blockIdx (emu::s.block)
#define blockDim (emu::s.block_dim)
#define gridDim (emu::s.grid_dim)
static inline void __syncthreads()
{
    emu::barrier(0, 0);
}
static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
static inline float __fmul_rn(float a, float b)
{
    return a * b;
}
static inline float __fadd_rn(float a, float b)
{
    return a + b;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline uint32_t __float_as_uint(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float __uint_as_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

namespace ptx
{
/* Exchanges go through memory that sanitizers do not watch: a shuffle orders nothing. */
struct shfl {
    float v, out;
    int lanes;
};
EMU_PLAIN static void shfl_exec(void **all, unsigned mask)
{
    for (int i = 0; i < 32; i++) {
        shfl *me = (shfl *)all[i];
        if (!(mask >> i & 1)) continue;
        if (!(mask >> (i ^ me->lanes) & 1)) emu::die("shuffles from a lane that is not there");
        me->out = ((shfl *)all[i ^ me->lanes])->v;
    }
}
EMU_PLAIN static float shfl_xor(float v, int lanes)
{
    shfl a = {v, 0, lanes};
    emu::meet("shfl.xor", &a, shfl_exec);
    return a.out;
}
EMU_PLAIN static void syncwarp()
{
#ifdef EMU_TSAN
    char *e =
        emu::s.edge + 64 + 2 * emu::s.now->warp + (emu::s.w[emu::s.now->warp].g.generation & 1);
    __tsan_release(e);
#endif
    emu::meet("syncwarp", nullptr, nullptr);
#ifdef EMU_TSAN
    __tsan_acquire(e);
#endif
}
template <class T> static inline T load(const void *at)
{
    if ((uintptr_t)at % sizeof(T)) emu::die("a load is misaligned");
    return *(const T *)at;
}
template <class T> static inline void store(void *at, T value)
{
    if ((uintptr_t)at % sizeof(T)) emu::die("a store is misaligned");
    *(T *)at = value;
}
static inline float exp2(float x)
{
    return exp2f(x);
}
static inline uint32_t round_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (u + 0x7fffu + (u >> 16 & 1)) >> 16;
}
static inline uint32_t pack_bf16(float lo, float hi)
{
    return round_bf16(lo) | round_bf16(hi) << 16;
}

static inline void land(const emu::copy &c)
{
    if (c.fill)
        memset(c.dst, 0, 16);
    else
        memcpy(c.dst, c.src, 16);
}
static inline void cp_async16(void *dst, const void *src, bool fill)
{
    emu::fiber *f = emu::s.now;
    if ((uintptr_t)dst % 16 || (uintptr_t)src % 16) emu::die("cp.async is misaligned");
    if (f->last - f->first == emu::MAX_COPIES)
        emu::die("more cp.async in flight than emu.h counts");
#ifdef EMU_TSAN
    __tsan_write_range(dst,
                       16); /* it may happen at any time from here to the wait: both ends count */
#endif
    if (emu::s.early) return land({dst, src, 0, fill});
    f->copies[f->last++ % emu::MAX_COPIES] = {dst, src, f->group, fill};
}
static inline void cp_commit()
{
    emu::s.now->group++;
}
template <int PENDING>
static inline void cp_wait() /* copies happen now, as late as they may (EMU_COPY=early: at once) */
{
    emu::fiber *f = emu::s.now;
    for (; f->first != f->last; f->first++) {
        emu::copy *c = &f->copies[f->first % emu::MAX_COPIES];
        if ((int)(f->group - c->group) <= PENDING) return;
        land(*c);
    }
}
/* Each lane reads its row, watched and for itself; then the eight-by-eight blocks change hands. */
struct ldsm {
    uint16_t row[8];
    uint32_t out[4];
};
template <bool TRANS> EMU_PLAIN static void ldsm_exec(void **all, unsigned mask)
{
    if (~mask) emu::die("ldmatrix wants the whole warp");
    for (int lane = 0; lane < 32; lane++)
        for (int m = 0; m < 4; m++) {
            int r = lane / 4, c = lane % 4 * 2;
            const ldsm *lo = (ldsm *)all[8 * m + (TRANS ? c : r)],
                       *hi = (ldsm *)all[8 * m + (TRANS ? c + 1 : r)];
            ((ldsm *)all[lane])->out[m] =
                lo->row[TRANS ? r : c] | (uint32_t)hi->row[TRANS ? r : c + 1] << 16;
        }
}
template <bool TRANS> static inline void ldsm_any(uint32_t (&r)[4], const void *row)
{
    ldsm a;
    if ((uintptr_t)row % 16) emu::die("ldmatrix is misaligned");
    if ((unsigned char *)row < emu::s.smem ||
        (unsigned char *)row + 16 > emu::s.smem + emu::s.smem_bytes)
        emu::die("ldmatrix reads outside shared memory");
    memcpy(a.row, row, 16);
    emu::meet(TRANS ? "ldmatrix.trans" : "ldmatrix", &a, ldsm_exec<TRANS>);
    memcpy(r, a.out, 16);
}
static inline void ldsm4(uint32_t (&r)[4], const void *row)
{
    ldsm_any<false>(r, row);
}
static inline void ldsm4_trans(uint32_t (&r)[4], const void *row)
{
    ldsm_any<true>(r, row);
}

struct mma {
    float d[4];
    uint32_t a[4], b[2];
};
EMU_PLAIN static void mma_exec(void **all, unsigned mask)
{
    float a[16][16], b[8][16];
    if (~mask) emu::die("mma wants the whole warp");
    for (int i = 0; i < 32; i++)
        for (int h = 0; h < 2; h++) {
            const mma *x = (mma *)all[i];
            auto part = [h](uint32_t pair) {
                return __builtin_bit_cast(float, h ? pair & 0xffff0000u : pair << 16);
            };
            for (int q = 0; q < 4; q++)
                a[i / 4 + q % 2 * 8][i % 4 * 2 + q / 2 * 8 + h] = part(x->a[q]);
            for (int q = 0; q < 2; q++)
                b[i / 4][i % 4 * 2 + q * 8 + h] = part(x->b[q]);
        }
    for (int i = 0; i < 32; i++)
        for (int q = 0; q < 4;
             q++) { /* products are exact in f32; sixteen are added, then rounded */
            double sum = ((mma *)all[i])->d[q];
            const float *x = a[i / 4 + q / 2 * 8], *y = b[i % 4 * 2 + q % 2];
            for (int k = 0; k < 16; k++)
                sum += (double)(x[k] * y[k]);
            ((mma *)all[i])->d[q] = (float)sum;
        }
}
static inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    mma m = {{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b0, b1}};
    emu::meet("mma.m16n8k16", &m, mma_exec);
    memcpy(d, m.d, 16);
}
} // namespace ptx

#include "tests/cuda/emu_wgmma.h"

#endif
