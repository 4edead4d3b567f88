/* cuda_device.cu - a GPU as a device: its memory, its table of operations. */
#include "kernels/cuda/cuda.cuh"

#include <stdio.h>

/* Grows when the bits of a kernel change: records of another arithmetic are others. */
#define KERNELS_VERSION 4

/* ---- memory ---- */

static void *cuda_alloc(struct device *d, size_t bytes)
{
    void *block = nullptr;
    cuda_settle(gpu_of(d));
    if (cudaSetDevice(gpu_of(d)->index) != cudaSuccess) return nullptr;
    if (cudaMalloc(&block, bytes ? bytes : 1) != cudaSuccess) return nullptr;
    if (cudaMemsetAsync(block, 0, bytes, nullptr) == cudaSuccess &&
        cudaStreamSynchronize(nullptr) == cudaSuccess)
        return block;
    cudaFree(block);
    return nullptr;
}

static void *cuda_alloc_host(struct device *d, size_t bytes)
{
    void *block = nullptr;
    cuda_settle(gpu_of(d));
    if (cudaSetDevice(gpu_of(d)->index) != cudaSuccess) return nullptr;
    if (cudaMallocHost(&block, bytes ? bytes : 1) != cudaSuccess) return nullptr;
    memset(block, 0, bytes);
    return block;
}

static void cuda_release(struct device *d, void *block)
{
    cuda_settle(gpu_of(d));
    cudaFree(block);
}

static void cuda_release_host(struct device *d, void *block)
{
    cuda_settle(gpu_of(d));
    cudaFreeHost(block);
}

static size_t free_bytes(const struct gpu *g)
{
    size_t free = 0, total = 0;
    if (cudaSetDevice(g->index) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess)
        return 0;
    return free;
}

vlqa_status cuda_fail(struct env *env, const struct gpu *g, const char *where, cudaError_t e)
{
    return g->host->fail(env, VLQA_EDEVICE, "GPU %d failed at %s: %s (%zu bytes are free)",
                         g->index, where, cudaGetErrorString(e), free_bytes(g));
}

/* An error of work that came before is an error of every call behind it. */
static vlqa_status cuda_no_memory(struct env *env, const struct device *d, const char *name,
                                  size_t bytes)
{
    const struct gpu *g = gpu_of(d);
    cuda_settle(g);
    cudaError_t e = cudaStreamSynchronize(nullptr);
    if (e != cudaSuccess) return cuda_fail(env, g, "work before an allocation", e);
    return g->host->fail(env, VLQA_EMEMORY,
                         "out of memory: %s needs %zu bytes of GPU %d, of which %zu are free", name,
                         bytes, g->index, free_bytes(g));
}

/* ---- the device ---- */

static const char *cuda_arithmetic(const struct device *d)
{
    return gpu_of(d)->arithmetic;
}

static void cuda_close(struct device *d)
{
    struct gpu *g = gpu_of(d);
    cuda_ranks_close(g);
    cuda_plans_close(g);
    g->host->free(g);
}

static struct backend_ops table(const char *name)
{
    struct backend_ops op = {};
    op.name = name;
    op.decodes_apart = 1;
    op.close = cuda_close;
    op.alloc = cuda_alloc;
    op.alloc_host = cuda_alloc_host;
    op.release = cuda_release;
    op.release_host = cuda_release_host;
    op.no_memory = cuda_no_memory;
    op.arithmetic = cuda_arithmetic;
    op.expect = cuda_expect;
    op.weight_block = cuda_weight_block;
    op.weight_pack = cuda_weight_pack;
    op.attention_work = cuda_attention_work;
    op.score_work = cuda_score_work;
    op.place_work = cuda_place_work;
    op.queue_open = cuda_queue_open;
    op.queue_close = cuda_queue_close;
    op.upload = cuda_upload;
    op.download = cuda_download;
    op.clear = cuda_clear;
    op.sync = cuda_sync;
    op.ranks_open = cuda_ranks_open;
    op.ranks_gather = cuda_ranks_gather;
    op.random = cuda_random;
    op.gather = cuda_gather;
    op.scatter = cuda_scatter;
    op.embed = cuda_embed;
    op.add = cuda_add;
    op.matmul = cuda_matmul;
    op.rmsnorm = cuda_rmsnorm;
    op.layernorm = cuda_layernorm;
    op.angles = cuda_angles;
    op.rope = cuda_rope;
    op.heads = cuda_heads;
    op.blend = cuda_blend;
    op.swiglu = cuda_swiglu;
    op.attention = cuda_attention;
    op.score = cuda_score;
    op.entropy = cuda_entropy;
    op.cosine_distance = cuda_cosine_distance;
    op.quantize = cuda_quantize;
    op.dequantize = cuda_dequantize;
    op.place = cuda_place;
    return op;
}

/* Is there such a device, and can the kernels of this module run on it? */
static vlqa_status look(const struct cuda_host *host, struct env *env, int gpu,
                        struct cudaDeviceProp *prop)
{
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e != cudaSuccess)
        return host->fail(env, VLQA_EDEVICE, "no GPU can be used: %s", cudaGetErrorString(e));
    if (gpu < 0 || gpu >= n)
        return host->fail(env, VLQA_EDEVICE, "gpu is %d, and this machine has %d, counted from 0",
                          gpu, n);
    e = cudaGetDeviceProperties(prop, gpu);
    if (e == cudaSuccess) e = cudaSetDevice(gpu);
    if (e != cudaSuccess)
        return host->fail(env, VLQA_EDEVICE, "GPU %d cannot be used: %s", gpu,
                          cudaGetErrorString(e));
    if (prop->major < 8)
        return host->fail(env, VLQA_EDEVICE,
                          "GPU %d (%s) has compute capability %d.%d, expected 8.0 or later", gpu,
                          prop->name, prop->major, prop->minor);
    return VLQA_OK;
}

static vlqa_status cuda_open_gpu(const struct cuda_host *host, struct env *env, int gpu,
                                 struct device **out)
{
    struct cudaDeviceProp prop;
    struct gpu *g;
    vlqa_status status = look(host, env, gpu, &prop);
    *out = nullptr;
    if (status != VLQA_OK) return status;
    g = (struct gpu *)host->alloc_zero(sizeof *g);
    if (!g)
        return host->fail(env, VLQA_EMEMORY, "out of memory: device needs %zu bytes", sizeof *g);
    g->wgmma = VLQA_CUDA_WGMMA && prop.major == 9 && prop.minor == 0;
    snprintf(g->name, sizeof g->name, "cuda sm%d%d k%d%s", prop.major, prop.minor, KERNELS_VERSION,
             g->wgmma ? "w" : "");
    snprintf(g->arithmetic, sizeof g->arithmetic, "%s", g->name);
    g->op = table(g->name);
    g->host = host;
    g->index = gpu;
    g->device.op = &g->op;
    g->device.env = env;
    *out = &g->device;
    return VLQA_OK;
}

const struct cuda_module *vlqa_cuda_module(void)
{
    static const struct cuda_module module = {CUDA_MODULE_VERSION, cuda_open_gpu};
    return &module;
}
