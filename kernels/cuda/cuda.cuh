/* cuda.cuh - what the files of the CUDA backend share: a device, a queue, elements of matrices.
 *
 * Each operation has a plain version: sums in f32 in a fixed order, any stride, size and alignment.
 * It is what faster versions are compared with, and what runs where they cannot. In all of them a
 * result is made by one warp or one thread from its own inputs, in an order that depends on nothing
 * else: so a row alone has the bits of the row among many. */
#ifndef KERNELS_CUDA_CUDA_CUH
#define KERNELS_CUDA_CUDA_CUH

#include "kernels/backend.h"
#include "kernels/cuda/cuda_module.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch_list.cuh"

#ifndef VLQA_CUDA_WGMMA /* a choice of the build: kernels/cuda/module.cmake */
#define VLQA_CUDA_WGMMA 0
#endif

namespace lt
{
struct plans;
}
struct cuda_link;

struct gpu {
    struct device device; /* first: what is handed out */
    struct backend_ops op;
    const struct cuda_host *host;
    char name[16]; /* "cuda sm80 k4"; "k4w" with wgmma */
    int index;
    bool wgmma;              /* attention by products of warpgroups */
    struct lt::plans *plans; /* of cuBLASLt; NULL: none was asked for */
    struct cuda_link *link;  /* to the GPUs of other ranks; NULL: none */
    char arithmetic[32];     /* the name, and what was chosen of plans */
};

/* Of keys or values of 512 tokens a slot: two layers of a chunk are on their way at a time. */
enum { RING_SLOTS = 4, SLOT_BYTES = 1 << 20 };

struct cuda_ring { /* copies beside the compute stream, through a ring */
    cudaStream_t stream;
    uint8_t *host, *at;              /* RING_SLOTS of SLOT_BYTES: pinned, and on the device */
    cudaEvent_t crossed[RING_SLOTS]; /* between host and device, by this stream */
    cudaEvent_t moved[RING_SLOTS];   /* between ring and place, by the compute stream */
    unsigned next;
};

struct cuda_due { /* a download in a slot, for the program's memory */
    void *dst;
    size_t bytes; /* 0: none */
};

struct cuda_queue {      /* impl of a queue */
    cudaStream_t stream; /* computes */
    cudaError_t error;   /* the first one; nothing is enqueued behind it */
    const char *where;   /* it came up */
    uint8_t *staging;    /* pinned: small uploads on their way */
    size_t staged;
    struct cuda_ring in, out;
    struct cuda_due due[RING_SLOTS];
    struct launch_list list; /* of the decode pass that is being enqueued */
    bool no_graphs;          /* the runtime has refused one */
};

static inline struct gpu *gpu_of(const struct device *d)
{
    return (struct gpu *)(uintptr_t)d;
}

static inline struct cuda_queue *cuda_of(struct queue *q)
{
    return (struct cuda_queue *)q->impl;
}

/* Keeps the first error of a queue. */
static inline void cuda_note(struct queue *q, const char *where, cudaError_t e)
{
    struct cuda_queue *c = cuda_of(q);
    if (e == cudaSuccess || c->error != cudaSuccess) return;
    c->error = e;
    c->where = where;
}

/* cuda_queue.cu: launches what is listed. */
void cuda_launch_list(struct queue *q);

/* Nonzero: work may be enqueued from this thread, behind what was listed. */
static inline int cuda_ready(struct queue *q, const char *what)
{
    struct cuda_queue *c = cuda_of(q);
    if (c->error == cudaSuccess) cuda_note(q, what, cudaSetDevice(gpu_of(q->device)->index));
    if (c->list.used) cuda_launch_list(q);
    return c->error == cudaSuccess;
}

static inline bool cuda_lists(const struct queue *q)
{
    return q->decode && !q->single_launches;
}

/* Nonzero: kernels of an operation may be launched, to cuda_line. */
static inline int cuda_may_launch(struct queue *q, const char *what)
{
    struct cuda_queue *c = cuda_of(q);
    c->list.what = what;
    if (cuda_lists(q) && list_has_room(&c->list)) return c->error == cudaSuccess;
    return cuda_ready(q, what);
}

static inline struct line cuda_line(struct queue *q)
{
    struct cuda_queue *c = cuda_of(q);
    return line(c->stream, cuda_lists(q) ? &c->list : nullptr);
}

template <class... P, class... A>
static inline void cuda_launch_shared(struct queue *q, const char *what, void (*kernel)(P...),
                                      dim3 grid, int threads, size_t shared, A... a)
{
    if (!cuda_may_launch(q, what)) return;
    cuda_note(q, what, launch(kernel, grid, dim3((unsigned)threads), shared, cuda_line(q), a...));
}

template <class... P, class... A>
static inline void cuda_launch(struct queue *q, const char *what, void (*kernel)(P...), dim3 grid,
                               int threads, A... a)
{
    cuda_launch_shared(q, what, kernel, grid, threads, 0, a...);
}

/* ---- rows: a warp each ---- */

enum { LANES = 32, WARPS = 4 }; /* of a warp, of a block */

static inline dim3 cuda_row_blocks(int rows)
{
    return dim3((unsigned)((rows + WARPS - 1) / WARPS));
}

/* The row of this warp; not below the number of rows in the last block. */
DEVICE int cuda_row()
{
    return (int)(blockIdx.x * WARPS + threadIdx.x / LANES);
}

DEVICE int cuda_lane()
{
    return (int)(threadIdx.x % LANES);
}

/* The sum over the lanes, in all of them: a tree, the same for every row. */
DEVICE float cuda_warp_sum(float v)
{
    for (int lanes = LANES / 2; lanes; lanes /= 2)
        v += ptx::shfl_xor(v, lanes);
    return v;
}

/* ---- elements ---- */

DEVICE float f16_float(uint16_t h) /* as f16_to_f32 of base/dtype.h */
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, bits = h & 0x7fffu;
    if (bits < 0x400u) { /* zero, subnormal: exact */
        float f = (float)bits * 5.9604644775390625e-8f;
        return sign ? -f : f;
    }
    return __uint_as_float(sign | (bits >= 0x7c00u ? 0x7f800000u | ((bits & 0x3ffu) << 13)
                                                   : (bits + (112u << 10)) << 13));
}

DEVICE uint16_t float_bf16(float x) /* to nearest even */
{
    return (uint16_t)ptx::pack_bf16(x, 0);
}

DEVICE size_t dtype_bytes(enum dtype dtype)
{
    return dtype == DT_F32 ? 4 : dtype >= DT_ROW_INT8 ? 1 : 2;
}

DEVICE size_t element_of(struct mat m, int row, int col)
{
    return (size_t)row * (size_t)m.stride + (size_t)col;
}

DEVICE float mat_load(struct mat m, int row, int col)
{
    size_t at = element_of(m, row, col);
    if (m.dtype == DT_F32) return ((const float *)m.data)[at];
    uint16_t h = ((const uint16_t *)m.data)[at];
    return m.dtype == DT_BF16 ? bf16_float(h) : f16_float(h);
}

DEVICE void mat_store(struct mat m, int row, int col, float x) /* f32 or bf16 */
{
    size_t at = element_of(m, row, col);
    if (m.dtype == DT_F32)
        ((float *)m.data)[at] = x;
    else
        ((uint16_t *)m.data)[at] = float_bf16(x);
}

/* ---- the operations, by file ---- */

/* cuda_device.cu: VLQA_EDEVICE with the place and how many bytes are free. */
vlqa_status cuda_fail(struct env *env, const struct gpu *g, const char *where, cudaError_t e);

/* cuda_queue.cu */
vlqa_status cuda_queue_open(struct queue *q);
void cuda_queue_close(struct queue *q);
void cuda_upload(struct queue *q, void *dst, const void *src, size_t bytes);
void cuda_download(struct queue *q, void *dst, const void *src, size_t bytes);
void cuda_clear(struct queue *q, void *dst, size_t bytes);
vlqa_status cuda_sync(struct queue *q);

/* cuda_ranks.cu */
vlqa_status cuda_ranks_open(struct env *env, struct device *d, struct vlqa_ranks *r);
void cuda_ranks_gather(struct queue *q, void *block, const size_t *at);
void cuda_ranks_close(struct gpu *g);
/* Before anything waits for the device: what other ranks give has come, or never will and has been
 * ended. Every call of the runtime that waits would do so for ever for a rank that is lost. */
void cuda_settle(const struct gpu *g);

/* cuda_copy.cu */
void cuda_random(struct queue *q, struct weight w, uint64_t seed, float scale);
void cuda_gather(struct queue *q, struct mat dst, struct mat src, struct ints index);
void cuda_scatter(struct queue *q, struct mat dst, struct ints index, struct mat src);
void cuda_embed(struct queue *q, struct mat dst, struct weight src, struct ints index);
void cuda_add(struct queue *q, struct mat dst, struct mat src, struct ints index);
void cuda_blend(struct queue *q, struct mat dst, struct mat src, struct ints index,
                struct mat part);
void cuda_quantize(struct queue *q, struct mat dst, struct mat src, int heads);
void cuda_dequantize(struct queue *q, struct mat dst, struct mat src, int heads);

/* cuda_place.cu */
size_t cuda_place_work(const struct device *d, int n, int cols);
void cuda_place(struct queue *q, const struct place *p);

/* cuda_rows.cu */
void cuda_rmsnorm(struct queue *q, struct mat y, struct mat x, struct mat w, float eps);
void cuda_layernorm(struct queue *q, struct mat y, struct mat x, struct mat w, struct mat b,
                    float eps);
void cuda_angles(struct queue *q, struct mat cos_sin, struct ints at, struct mat inverse);
void cuda_rope(struct queue *q, struct mat y, struct mat x, int heads, struct mat cos_sin);
void cuda_swiglu(struct queue *q, struct mat y, struct mat gate_up);

/* cuda_heads.cu */
void cuda_heads(struct queue *q, const struct heads *h);

/* cuda_matmul.cu */
size_t cuda_weight_block(const struct device *d, enum weight_format format, int cols);
void cuda_weight_pack(const struct device *d, void *block, const struct weight_rows *rows);
void cuda_matmul(struct queue *q, const struct products *p);

/* cuda_plans.cu */
vlqa_status cuda_expect(struct env *env, struct device *d, struct weight w, enum dtype x,
                        int has_bias);
void cuda_plans_close(struct gpu *g);
/* Returns false, whatever the number of rows, where cuBLASLt does not make such products. */
bool cuda_multiply_planned(struct queue *q, struct mat x, const struct product *p);

/* cuda_attention.cu */
size_t cuda_attention_work(const struct device *d, int n, int heads, int kv_heads, int dim,
                           int slots);
void cuda_attention(struct queue *q, const struct attn *a);

/* cuda_score.cu */
size_t cuda_score_work(const struct device *d, int n, int heads, int slots);
void cuda_score(struct queue *q, const struct score *s);

/* cuda_measures.cu */
void cuda_entropy(struct queue *q, struct mat out, struct mat logits, int top);
void cuda_cosine_distance(struct queue *q, struct mat out, struct mat a, struct mat b);

#endif
