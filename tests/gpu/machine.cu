/* machine.cu - what a GPU is, and its ceilings: copies on it and over the bus, and a large product
 * by cuBLASLt. Prints JSON.
 *
 * test_cuda_machine [CUBLASLT] */
#include <cuda_runtime.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <vector>

static void need(cudaError_t e, const char *what)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}

/* Random bf16 of magnitudes below 1: a GPU is faster on zeros. */
__global__ void fill(uint16_t *v, size_t n, uint32_t seed)
{
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint32_t h = (uint32_t)i * 2654435761u ^ seed;
        h ^= h >> 15, h *= 2246822519u, h ^= h >> 13, h *= 3266489917u, h ^= h >> 16;
        v[i] = (uint16_t)((h & 0x8000u) | 0x3e00u | (h >> 16 & 0x01ffu));
    }
}

struct timer {
    cudaEvent_t from, to;
    timer()
    {
        need(cudaEventCreate(&from), "event");
        need(cudaEventCreate(&to), "event");
    }
    /* The median of `repeat` runs in ms, behind two that warm up. */
    template <class F> double median(int repeat, F run)
    {
        std::vector<float> ms;
        for (int i = -2; i < repeat; i++) {
            float t = 0;
            need(cudaEventRecord(from), "event");
            run();
            need(cudaEventRecord(to), "event");
            need(cudaEventSynchronize(to), "work");
            need(cudaEventElapsedTime(&t, from, to), "time");
            if (i >= 0) ms.push_back(t);
        }
        std::sort(ms.begin(), ms.end());
        return ms[ms.size() / 2];
    }
};

static int attribute(cudaDeviceAttr which)
{
    int value = 0;
    need(cudaDeviceGetAttribute(&value, which, 0), "attribute");
    return value;
}

static void print_device()
{
    cudaDeviceProp prop;
    int driver = 0, runtime = 0;
    size_t free = 0, total = 0;
    need(cudaDriverGetVersion(&driver), "driver");
    need(cudaRuntimeGetVersion(&runtime), "runtime");
    need(cudaGetDeviceProperties(&prop, 0), "device");
    need(cudaMemGetInfo(&free, &total), "memory");
    printf("{\"gpu\": \"%s\", \"capability\": \"%d.%d\", \"driver\": %d, \"runtime\": %d,\n",
           prop.name, prop.major, prop.minor, driver, runtime);
    printf(" \"multiprocessors\": %d, \"l2_bytes\": %d, \"shared_bytes_of_block\": %zu,\n",
           prop.multiProcessorCount, prop.l2CacheSize, prop.sharedMemPerBlockOptin);
    printf(
        " \"clock_khz\": %d, \"memory_clock_khz\": %d, \"memory_bytes\": %zu, \"free_bytes\": %zu",
        attribute(cudaDevAttrClockRate), attribute(cudaDevAttrMemoryClockRate), total, free);
    fflush(stdout);
}

static void print_copies(timer &t)
{
    const size_t n = (size_t)2 << 30, host_n = (size_t)256 << 20;
    char *a, *b, *host;
    need(cudaMalloc(&a, n), "memory");
    need(cudaMalloc(&b, n), "memory");
    need(cudaMallocHost(&host, host_n), "pinned memory");
    memset(host, 1, host_n);
    fill<<<1024, 256>>>((uint16_t *)a, n / 2, 1);
    double ms =
        t.median(9, [&] { need(cudaMemcpyAsync(b, a, n, cudaMemcpyDeviceToDevice), "copy"); });
    printf(",\n \"copy_gbytes\": %.1f", 2e-6 * (double)n / ms);
    ms = t.median(7, [&] { need(cudaMemcpyAsync(a, host, host_n, cudaMemcpyHostToDevice), "up"); });
    printf(",\n \"upload_gbytes\": %.1f", 1e-6 * (double)host_n / ms);
    ms = t.median(7,
                  [&] { need(cudaMemcpyAsync(host, a, host_n, cudaMemcpyDeviceToHost), "down"); });
    printf(", \"download_gbytes\": %.1f", 1e-6 * (double)host_n / ms);
    fflush(stdout);
    cudaFreeHost(host);
    cudaFree(b);
    cudaFree(a);
}

/* ---- cuBLASLt, opened at run time; the constants are those of its header ---- */

enum { R_32F = 0, R_16BF = 14, COMPUTE_32F = 68, TRANSA = 3, OP_T = 1 };

struct lt {
    void *handle;
    int (*create)(void **);
    int (*desc)(void **, int, int);
    int (*set)(void *, int, const void *, size_t);
    int (*layout)(void **, int, uint64_t, uint64_t, int64_t);
    int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *,
                  const void *, const void *, void *, void *, void *, const void *, void *, size_t,
                  cudaStream_t);
};

static bool open_lt(const char *path, lt *out)
{
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!so) return false;
    *(void **)&out->create = dlsym(so, "cublasLtCreate");
    *(void **)&out->desc = dlsym(so, "cublasLtMatmulDescCreate");
    *(void **)&out->set = dlsym(so, "cublasLtMatmulDescSetAttribute");
    *(void **)&out->layout = dlsym(so, "cublasLtMatrixLayoutCreate");
    *(void **)&out->matmul = dlsym(so, "cublasLtMatmul");
    return out->create && out->desc && out->set && out->layout && out->matmul &&
           out->create(&out->handle) == 0;
}

/* Rates of y[n, out] = x[n, in] w[out, in]^T in bf16, as layers have them. */
static void print_product(timer &t, const lt &lt, const char *name, int n, int out, int in)
{
    const size_t work_n = (size_t)64 << 20;
    uint16_t *x, *w, *y;
    void *work, *desc, *a, *b, *d;
    const float one = 1, zero = 0;
    int transposed = OP_T, status = 0;
    need(cudaMalloc(&x, (size_t)n * in * 2), "memory");
    need(cudaMalloc(&w, (size_t)out * in * 2), "memory");
    need(cudaMalloc(&y, (size_t)n * out * 2), "memory");
    need(cudaMalloc(&work, work_n), "memory");
    fill<<<1024, 256>>>(x, (size_t)n * in, 2);
    fill<<<1024, 256>>>(w, (size_t)out * in, 3);
    status |= lt.desc(&desc, COMPUTE_32F, R_32F);
    if (!status) status |= lt.set(desc, TRANSA, &transposed, sizeof transposed);
    status |= lt.layout(&a, R_16BF, (uint64_t)in, (uint64_t)out, in); /* columns first: w^T */
    status |= lt.layout(&b, R_16BF, (uint64_t)in, (uint64_t)n, in);
    status |= lt.layout(&d, R_16BF, (uint64_t)out, (uint64_t)n, out);
    double ms = 0;
    if (!status)
        ms = t.median(9, [&] {
            status |= lt.matmul(lt.handle, desc, &one, w, a, x, b, &zero, y, d, y, d, nullptr, work,
                                work_n, nullptr);
        });
    if (status)
        printf(",\n \"%s_error\": %d", name, status);
    else
        printf(",\n \"%s_tflops\": %.1f", name, 2e-9 * n * out * in / ms);
    fflush(stdout);
    cudaFree(work);
    cudaFree(y);
    cudaFree(w);
    cudaFree(x);
}

int main(int argc, char **argv)
{
    static const char *const known[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                        "/usr/local/cuda/lib64/libcublasLt.so"};
    lt lt = {};
    bool is_open = argc > 1 && *argv[1] && open_lt(argv[1], &lt);
    print_device();
    timer t;
    print_copies(t);
    for (const char *path : known)
        is_open = is_open || open_lt(path, &lt);
    if (is_open) {
        print_product(t, lt, "gemm_8192", 8192, 8192, 8192);
        print_product(t, lt, "gemm_4096_gate_up", 4096, 24576, 4096);
        print_product(t, lt, "gemm_4096_o", 4096, 4096, 4096);
        print_product(t, lt, "gemm_16_gate_up", 16, 24576, 4096);
    } else {
        printf(",\n \"cublaslt\": null");
    }
    printf("}\n");
    return 0;
}
