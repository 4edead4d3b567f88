/* cuda_lt.cu - cuBLASLt as a library that is looked for at run time: where the loader looks, and in
 * /usr/local/cuda. */
#include "kernels/cuda/cuda_lt.cuh"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

namespace lt
{
struct library {
    handle context;
    size_t (*version)();
    int (*create)(handle *);
    int (*destroy)(handle);
    int (*desc_create)(desc *, int compute, int scale);
    int (*desc_destroy)(desc);
    int (*desc_set)(desc, int attribute, const void *value, size_t bytes);
    int (*layout_create)(layout *, int type, uint64_t rows, uint64_t cols, int64_t ld);
    int (*layout_destroy)(layout);
    int (*preference_create)(preference *);
    int (*preference_destroy)(preference);
    int (*preference_set)(preference, int attribute, const void *value, size_t bytes);
    int (*heuristic_get)(handle, desc, layout a, layout b, layout c, layout d, preference, int most,
                         struct heuristic *found, int *n);
    int (*config_get)(const struct algo *, int attribute, void *value, size_t bytes,
                      size_t *written);
    int (*matmul)(handle, desc, const void *alpha, const void *a, layout, const void *b, layout,
                  const void *beta, const void *c, layout, void *d, layout, const struct algo *,
                  void *workspace, size_t workspace_bytes, cudaStream_t);
};

/* ---- opening ---- */

static void *open_in(const char *folder, int major)
{
    char path[1024];
    int n = snprintf(path, sizeof path, "%s%slibcublasLt.so.%d", folder, *folder ? "/" : "", major);
    return n > 0 && (size_t)n < sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
}

/* That of this module's CUDA first; the interface that is used has not changed since 12. */
static void *open_library()
{
    const char *const folder[] = {"", "/usr/local/cuda/lib64", "/usr/local/cuda/lib"};
    void *found = nullptr;
    for (int i = 0; i < 2 && !found; i++) {
        int major = (CUDART_VERSION / 1000 == 12) == (i == 0) ? 12 : 13;
        for (size_t f = 0; f < sizeof folder / sizeof *folder && !found; f++)
            found = open_in(folder[f], major);
    }
    return found;
}

static const char *fill(struct library *l, void *from)
{
    const struct {
        const char *name;
        void **to;
    } all[] = {
        {"cublasLtGetVersion", (void **)&l->version},
        {"cublasLtCreate", (void **)&l->create},
        {"cublasLtDestroy", (void **)&l->destroy},
        {"cublasLtMatmulDescCreate", (void **)&l->desc_create},
        {"cublasLtMatmulDescDestroy", (void **)&l->desc_destroy},
        {"cublasLtMatmulDescSetAttribute", (void **)&l->desc_set},
        {"cublasLtMatrixLayoutCreate", (void **)&l->layout_create},
        {"cublasLtMatrixLayoutDestroy", (void **)&l->layout_destroy},
        {"cublasLtMatmulPreferenceCreate", (void **)&l->preference_create},
        {"cublasLtMatmulPreferenceDestroy", (void **)&l->preference_destroy},
        {"cublasLtMatmulPreferenceSetAttribute", (void **)&l->preference_set},
        {"cublasLtMatmulAlgoGetHeuristic", (void **)&l->heuristic_get},
        {"cublasLtMatmulAlgoConfigGetAttribute", (void **)&l->config_get},
        {"cublasLtMatmul", (void **)&l->matmul},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].to = dlsym(from, all[i].name);
        if (!*all[i].to) return all[i].name;
    }
    return nullptr;
}

/* The library stays: its code may run until the process ends. */
struct library *open(const struct cuda_host *host, char why[512])
{
    void *from = open_library();
    const char *said = from ? nullptr : dlerror();
    struct library *l = (struct library *)host->alloc_zero(sizeof *l);
    int status = 0;
    if (!from)
        snprintf(why, 512, "%s", said ? said : "libcublasLt.so is not found");
    else if (l)
        said = fill(l, from);
    if (from && l && said) snprintf(why, 512, "libcublasLt has no %s", said);
    if (from && l && !said) status = l->create(&l->context);
    if (status) snprintf(why, 512, "cublasLtCreate returns %d", status);
    if (!l) snprintf(why, 512, "out of memory");
    if (from && l && !said && !status) return l;
    host->free(l);
    return nullptr;
}

void close(const struct cuda_host *host, struct library *l)
{
    if (!l) return;
    l->destroy(l->context);
    host->free(l);
}

size_t version(const struct library *l)
{
    return l->version();
}

int most_rows(const struct library *l)
{
    (void)l;
    return 4096;
}

/* ---- products ---- */

/* The library counts columns first: y^T[outputs, n] = w[outputs, inputs] x^T[inputs, n], w being
 * the transpose of what it sees in memory. */
struct described {
    struct library *l;
    desc d = nullptr;
    layout w = nullptr, x = nullptr, y = nullptr;
    preference pref = nullptr;
    bool fine = true;

    void note(int status)
    {
        fine = fine && status == STATUS_SUCCESS;
    }
    template <class T> void set(int attribute, T value)
    {
        if (fine) note(l->desc_set(d, attribute, &value, sizeof value));
    }
    template <class T> void prefer(int attribute, T value)
    {
        if (fine) note(l->preference_set(pref, attribute, &value, sizeof value));
    }
    void see(layout *to, int type, int rows, int cols, int stride)
    {
        note(l->layout_create(to, type, (uint64_t)rows, (uint64_t)cols, stride));
    }
    described(struct library *library, const struct product *p) : l(library)
    {
        note(l->desc_create(&d, COMPUTE_F32, REAL_F32));
        note(l->preference_create(&pref));
        see(&w, REAL_BF16, p->w.cols, p->w.rows, p->w.cols);
        see(&x, REAL_BF16, p->x.cols, p->x.rows, p->x.stride);
        see(&y, REAL_F32, p->y.cols, p->y.rows, p->y.stride);
        set<int32_t>(DESC_TRANSA, OP_T);
        set<int32_t>(DESC_EPILOGUE, p->bias ? EPILOGUE_BIAS : EPILOGUE_DEFAULT);
        if (p->bias) set<const void *>(DESC_BIAS_POINTER, p->bias);
        prefer<uint64_t>(PREF_MAX_WORKSPACE, 0);
        prefer<uint32_t>(PREF_REDUCTION_SCHEMES, REDUCTION_NONE);
        for (int operand = 0; operand < 4; operand++)
            prefer<uint32_t>(PREF_MIN_ALIGNMENT_A + operand, 16);
    }
    described(const described &) = delete;
    ~described()
    {
        if (pref) l->preference_destroy(pref);
        if (y) l->layout_destroy(y);
        if (x) l->layout_destroy(x);
        if (w) l->layout_destroy(w);
        if (d) l->desc_destroy(d);
    }
};

static uint32_t config_of(struct library *l, const struct algo *algo, int attribute)
{
    uint32_t value = 0;
    size_t written = 0;
    return l->config_get(algo, attribute, &value, sizeof value, &written) ? ~0u : value;
}

static bool splits_sums(struct library *l, const struct heuristic *h)
{
    uint32_t parts = config_of(l, &h->algo, CONFIG_SPLIT_K); /* 0: the library's choice, of 1 */
    return h->workspace || parts > 1 ||
           config_of(l, &h->algo, CONFIG_REDUCTION_SCHEME) != REDUCTION_NONE;
}

int find(struct library *l, const struct product *p, struct algo found[MOST_FOUND])
{
    struct described of(l, p);
    struct heuristic all[2 * MOST_FOUND];
    int n = 0, kept = 0;
    if (of.fine)
        of.note(l->heuristic_get(l->context, of.d, of.w, of.x, of.y, of.y, of.pref, 2 * MOST_FOUND,
                                 all, &n));
    for (int i = 0; of.fine && i < n && kept < MOST_FOUND; i++)
        if (all[i].state == STATUS_SUCCESS && !splits_sums(l, &all[i])) found[kept++] = all[i].algo;
    return kept;
}

cudaError_t enqueue(struct library *l, const struct product *p, const struct algo *algo,
                    cudaStream_t stream)
{
    const float one = 1, zero = 0;
    struct described of(l, p);
    if (of.fine)
        of.note(l->matmul(l->context, of.d, &one, p->w.data, of.w, p->x.data, of.x, &zero,
                          p->y.data, of.y, p->y.data, of.y, algo, nullptr, 0, stream));
    return of.fine ? cudaSuccess : cudaErrorNotSupported;
}
} // namespace lt
