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
 * the transpose of what it sees in memory. What cannot be made is NULL. */

static desc desc_of(struct library *l, bool has_bias, const float *bias)
{
    desc d = nullptr;
    int32_t transposed = OP_T, epilogue = has_bias ? EPILOGUE_BIAS : EPILOGUE_DEFAULT;
    if (l->desc_create(&d, COMPUTE_F32, REAL_F32) != STATUS_SUCCESS) return nullptr;
    if (l->desc_set(d, DESC_TRANSA, &transposed, sizeof transposed) == STATUS_SUCCESS &&
        l->desc_set(d, DESC_EPILOGUE, &epilogue, sizeof epilogue) == STATUS_SUCCESS &&
        (!bias || l->desc_set(d, DESC_BIAS_POINTER, &bias, sizeof bias) == STATUS_SUCCESS))
        return d;
    l->desc_destroy(d);
    return nullptr;
}

static layout layout_of(struct library *l, int type, int rows, int cols, int stride)
{
    layout made = nullptr;
    int status = l->layout_create(&made, type, (uint64_t)rows, (uint64_t)cols, stride);
    return status == STATUS_SUCCESS ? made : nullptr;
}

bool common_open(struct library *l, const struct product *p, struct common *out)
{
    out->d = desc_of(l, false, nullptr);
    out->w = layout_of(l, REAL_BF16, p->w.cols, p->w.rows, p->w.cols);
    return out->d && out->w;
}

void common_close(struct library *l, struct common *c)
{
    if (c->w) l->layout_destroy(c->w);
    if (c->d) l->desc_destroy(c->d);
    c->w = nullptr;
    c->d = nullptr;
}

/* Of one call: rows, strides, and the bias of this weight. */
struct described {
    struct library *l;
    desc d, biased;
    layout x, y;

    described(struct library *library, const struct common *c, const struct product *p)
        : l(library), d(c->d), biased(p->bias ? desc_of(l, true, p->bias) : nullptr),
          x(layout_of(l, REAL_BF16, p->x.cols, p->x.rows, p->x.stride)),
          y(layout_of(l, REAL_F32, p->y.cols, p->y.rows, p->y.stride))
    {
        if (p->bias) d = biased;
    }
    described(const described &) = delete;
    ~described()
    {
        if (y) l->layout_destroy(y);
        if (x) l->layout_destroy(x);
        if (biased) l->desc_destroy(biased);
    }
    bool fine() const
    {
        return d && x && y;
    }
};

template <class T> static bool prefer(struct library *l, preference pref, int attribute, T value)
{
    return l->preference_set(pref, attribute, &value, sizeof value) == STATUS_SUCCESS;
}

static preference preference_of(struct library *l)
{
    preference pref = nullptr;
    if (l->preference_create(&pref) != STATUS_SUCCESS) return nullptr;
    bool fine = prefer<uint64_t>(l, pref, PREF_MAX_WORKSPACE, 0) &&
                prefer<uint32_t>(l, pref, PREF_REDUCTION_SCHEMES, REDUCTION_NONE);
    for (int operand = 0; operand < 4; operand++)
        fine = fine && prefer<uint32_t>(l, pref, PREF_MIN_ALIGNMENT_A + operand, 16);
    if (fine) return pref;
    l->preference_destroy(pref);
    return nullptr;
}

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

int find(struct library *l, const struct common *c, const struct product *p,
         struct algo found[MOST_FOUND])
{
    struct described of(l, c, p);
    preference pref = preference_of(l);
    struct heuristic all[2 * MOST_FOUND];
    int n = 0, kept = 0;
    if (pref && of.fine() &&
        l->heuristic_get(l->context, of.d, c->w, of.x, of.y, of.y, pref, 2 * MOST_FOUND, all, &n) !=
            STATUS_SUCCESS)
        n = 0;
    for (int i = 0; i < n && kept < MOST_FOUND; i++)
        if (all[i].state == STATUS_SUCCESS && !splits_sums(l, &all[i])) found[kept++] = all[i].algo;
    if (pref) l->preference_destroy(pref);
    return kept;
}

cudaError_t enqueue(struct library *l, const struct common *c, const struct product *p,
                    const struct algo *algo, cudaStream_t stream)
{
    const float one = 1, of_y = p->adds ? 1 : 0;
    struct described of(l, c, p);
    if (of.fine() &&
        l->matmul(l->context, of.d, &one, p->w.data, c->w, p->x.data, of.x, &of_y, p->y.data, of.y,
                  p->y.data, of.y, algo, nullptr, 0, stream) == STATUS_SUCCESS)
        return cudaSuccess;
    return cudaErrorNotSupported;
}
} // namespace lt
