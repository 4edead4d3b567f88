/* device.cuh - the only door to PTX: what a kernel may use beside plain CUDA C++.
 *
 * nvcc sees PTX here. A host compiler finds emu.h (tests/cuda) on its include path, which has the
 * same names. Kernels contain no asm and no intrinsics of their own, so the text that runs on a GPU
 * is the text that is tested without one. Multiplication and addition are never contracted
 * (--fmad=false, -ffp-contract=off): a kernel that wants a fused product says __fmaf_rn. */
#ifndef KERNELS_CUDA_DEVICE_CUH
#define KERNELS_CUDA_DEVICE_CUH

#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define UNROLL _Pragma("unroll")
#define DEVICE __device__ __forceinline__
#define HOST_DEVICE __host__ __device__ __forceinline__
/* The block's dynamic shared memory as one struct. */
#define SHARED(type, name)                                        \
    extern __shared__ __align__(1024) unsigned char shared_raw[]; \
    type &name = *reinterpret_cast<type *>(shared_raw)

namespace ptx
{
DEVICE uint32_t address(const void *shared)
{
    return (uint32_t)__cvta_generic_to_shared(shared);
}
DEVICE float shfl_xor(float v, int lanes)
{
    return __shfl_xor_sync(~0u, v, lanes);
}
DEVICE void syncwarp()
{
    __syncwarp();
}
/* 4, 8 or 16 bytes as one access: `at` is a multiple of them. */
template <class T> DEVICE T load(const void *at)
{
    return *(const T *)at;
}
template <class T> DEVICE void store(void *at, T value)
{
    *(T *)at = value;
}
DEVICE float exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE uint32_t pack_bf16(float lo, float hi) /* both rounded to nearest even */
{
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}
/* 16 bytes to shared memory, in flight until cp_wait; fill: zeros instead. Both 16-byte aligned. */
DEVICE void cp_async16(void *dst, const void *src, bool fill)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(dst)), "l"(src),
                 "r"(fill ? 0 : 16));
}
DEVICE void cp_commit()
{
    asm volatile("cp.async.commit_group;");
}
template <int PENDING> DEVICE void cp_wait() /* all but the last PENDING groups have landed */
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
/* Four 8 x 8 blocks of 16-bit values; lane i names row i % 8 of block i / 8 in shared memory. */
DEVICE void ldsm4(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address(row))
                 : "memory");
}
DEVICE void ldsm4_trans(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address(row))
                 : "memory");
}
/* d[16, 8] += a[16, 16] b[16, 8], bf16 into f32 */
DEVICE void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/* ---- products of a warpgroup: sm_90a alone, others stop ---- */

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
enum { HAS_WGMMA = 1 };
#define ON_SM90A(...) __VA_ARGS__
#else
enum { HAS_WGMMA = 0 };
#define ON_SM90A(...) __trap()
#endif

/* What this thread wrote to shared memory, cp_wait included, is seen by products behind the next
 * barrier. */
DEVICE void wgmma_publish()
{
    ON_SM90A(asm volatile("fence.proxy.async.shared::cta;" ::: "memory"));
}
/* The compiler computes nothing of v's across this. */
template <int N> DEVICE void wgmma_pin(float (*v)[4])
{
    UNROLL for (int i = 0; i < 4 * N; i++) asm volatile("" : "+f"(v[i / 4][i % 4])::"memory");
}
/* Products lie between begin and end, with the same sums. */
template <int N> DEVICE void wgmma_begin(float (*d)[4])
{
    wgmma_pin<N>(d);
    ON_SM90A(asm volatile("wgmma.fence.sync.aligned;" ::: "memory"));
}
template <int N> DEVICE void wgmma_end(float (*d)[4])
{
    ON_SM90A(asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" ::
                              : "memory"));
    wgmma_pin<N>(d);
}
/* Names 16 bytes of shared memory in a panel: rows of 64 16-bit values whose pieces of 8 are
 * swapped by the number of the row (128-byte swizzle), 8 rows every 1,024 bytes, on 1,024. */
DEVICE uint64_t wgmma_panel(const void *at)
{
    return (uint64_t)(address(at) >> 4 & 0x3fff) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}
/* d[64, 8 N] += a[64, 16] b[16, 8 N], N 8 or 1, bf16 into f32; each warp has 16 rows of a and d,
 * laid out as for mma_bf16. TRANS: rows of the panel are those of b, else columns. */
template <int N, int TRANS>
DEVICE void wgmma_bf16(float (*d)[4], const uint32_t (&a)[4], uint64_t b)
{
    if constexpr (N == 8)
        ON_SM90A(asm volatile(
            "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,"
            "%8,%9,%10,%11,%12,%13,%14,%15,"
            "%16,%17,%18,%19,%20,%21,%22,%23,"
            "%24,%25,%26,%27,%28,%29,%30,%31}, {%32,%33,%34,%35}, "
            "%36, 1, 1, 1, %37;"
            : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]),
              "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]),
              "+f"(d[2][2]), "+f"(d[2][3]), "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]),
              "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]),
              "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]), "+f"(d[6][0]),
              "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]), "+f"(d[7][0]), "+f"(d[7][1]),
              "+f"(d[7][2]), "+f"(d[7][3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(TRANS)));
    else
        ON_SM90A(asm volatile(
            "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, "
            "1, 1, 1, %9;"
            : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(TRANS)));
}
} // namespace ptx

/* Makes room for `shared` bytes of dynamic shared memory, where that has to be asked for. */
static inline cudaError_t allow_shared(const void *kernel, size_t shared)
{
    return shared <= 48 << 10
               ? cudaSuccess
               : cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)shared);
}

template <class... P>
static inline cudaError_t launch_values(const void *kernel, dim3 grid, dim3 block, size_t shared,
                                        cudaStream_t stream, P... p)
{
    void *argument[sizeof...(P) + 1] = {(void *)&p...};
    cudaError_t e = allow_shared(kernel, shared);
    return e != cudaSuccess ? e : cudaLaunchKernel(kernel, grid, block, argument, shared, stream);
}

/* Enqueues a kernel with `shared` bytes of dynamic shared memory. The error is that of the launch:
 * cudaGetLastError would also give one of a call before, such as an allocation that was refused. */
template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 cudaStream_t stream, A... a)
{
    return launch_values<P...>((const void *)kernel, grid, block, shared, stream, P(a)...);
}

/* A graph whose nodes follow each other. */
struct chain {
    cudaGraph_t graph;
    cudaGraphNode_t *last; /* NULL in it: there is none yet */
};

template <class... P>
static inline cudaError_t append_values(const void *kernel, dim3 grid, dim3 block, size_t shared,
                                        struct chain chain, P... p)
{
    void *argument[sizeof...(P) + 1] = {(void *)&p...};
    struct cudaKernelNodeParams node = {(void *)(uintptr_t)kernel, grid,     block,
                                        (unsigned)shared,          argument, nullptr};
    cudaError_t e = allow_shared(kernel, shared);
    if (e != cudaSuccess) return e;
    cudaGraphNode_t before = *chain.last;
    return cudaGraphAddKernelNode(chain.last, chain.graph, before ? &before : nullptr,
                                  before ? 1 : 0, &node);
}

/* Appends a kernel to a graph. */
template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 struct chain chain, A... a)
{
    return append_values<P...>((const void *)kernel, grid, block, shared, chain, P(a)...);
}
#else
#include <emu.h>
#endif

HOST_DEVICE float bf16_float(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.u = (uint32_t)h << 16;
    return v.f;
}

/* FP8 with four bits of exponent and three of mantissa; no NaN. The bits are those of a float but
 * for the bias of the exponent, also where it is subnormal. */
HOST_DEVICE float e4m3_float(uint8_t code)
{
    union {
        uint32_t u;
        float f;
    } v;
    v.u = (code & 0x80u) << 24 | (code & 0x7fu) << 20;
    return v.f * 0x1p120f;
}

#endif
