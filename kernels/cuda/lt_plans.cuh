/* lt_plans.cuh - which algorithm of cuBLASLt makes which product, chosen so that a row does not
 * notice the other rows, by proof and not by promise.
 *
 * Before an engine is handed out, each kind of product is made of random inputs and the real
 * weight. An algorithm is the reference if rows have the same bits in calls of any number of rows;
 * for calls of few rows a faster one is taken where its rows have the bits of the reference. What
 * does not pass is dropped. Calls of more rows than were tried are cut. Where all of them add to y
 * with the bits of a product and a sum behind it, such products are one call, too. What was chosen
 * goes into a hash, for other algorithms may have other last bits. */
#ifndef KERNELS_CUDA_LT_PLANS_CUH
#define KERNELS_CUDA_LT_PLANS_CUH

#include "kernels/cuda/cuda_lt.cuh"

namespace lt
{
enum { MOST_KINDS = 48, BUCKETS = 5, MOST_PROOF_BYTES = 256 << 20 };

static const int bucket_rows[BUCKETS] = {16, 64, 256, 1024, 4096}; /* at most, in a call */

/* Of products. y is f32: rounded to bf16, sums of another order would look alike. */
struct kind {
    int outputs, inputs;
    bool has_bias;
};

struct plan {
    struct kind kind;
    int buckets; /* 0: nothing passed */
    struct algo algo[BUCKETS];
    bool adds; /* to y, as a product and k_add do */
    struct common common;
};

struct plans {
    struct library *library;
    bool tried; /* to open it */
    int n;
    struct plan of[MOST_KINDS];
    uint32_t hash; /* of what was chosen, and of the library's version */
};

static inline bool same_kind(struct kind a, struct kind b)
{
    return a.outputs == b.outputs && a.inputs == b.inputs && a.has_bias == b.has_bias;
}

static inline struct kind kind_of(const struct product *p)
{
    struct kind k = {p->w.rows, p->w.cols, p->bias != nullptr};
    return k;
}

static inline const struct plan *plan_of(const struct plans *plans, struct kind kind)
{
    for (int i = 0; i < plans->n; i++)
        if (same_kind(plans->of[i].kind, kind)) return &plans->of[i];
    return nullptr;
}

/* ---- the proof ---- */

enum { PROOF_THREADS = 128, PROOF_BLOCKS = 1024, FLAGS = PROOF_BLOCKS * PROOF_THREADS / 32 };

DEVICE uint32_t hash_of(size_t place)
{
    uint32_t h = (uint32_t)place * 0x9e3779b1u + 0x85ebca6bu;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    h = (h ^ h >> 12) * 0x297a2d39u;
    return h ^ h >> 15;
}

/* Bits that depend on their place alone: bf16 of both signs, from 2^-7 to 2, so that sums in
 * another order are rounded to other bits. */
__global__ void __launch_bounds__(PROOF_THREADS) fill_inputs(uint16_t *x, size_t n)
{
    size_t step = (size_t)gridDim.x * PROOF_THREADS;
    for (size_t i = (size_t)blockIdx.x * PROOF_THREADS + threadIdx.x; i < n; i += step) {
        uint32_t h = hash_of(i);
        x[i] = (uint16_t)((h & 0x807fu) | (120u + (h >> 8 & 7u)) << 7);
    }
}

/* The same in f32: what is in y before a product is added to it. */
DEVICE float before_sum(size_t place)
{
    uint32_t h = hash_of(place);
    return __uint_as_float((h & 0x807fffffu) | (120u + (h >> 25 & 7u)) << 23);
}

__global__ void __launch_bounds__(PROOF_THREADS) fill_outputs(float *y, size_t n)
{
    size_t step = (size_t)gridDim.x * PROOF_THREADS;
    for (size_t i = (size_t)blockIdx.x * PROOF_THREADS + threadIdx.x; i < n; i += step)
        y[i] = before_sum(i);
}

/* Is b the bits of a or, with `adds`, of a added to what was there before? A flag for each warp. */
__global__ void __launch_bounds__(PROOF_THREADS)
    note_difference(int *differs, const float *a, const float *b, size_t n, bool adds)
{
    size_t step = (size_t)gridDim.x * PROOF_THREADS;
    float found = 0;
    for (size_t i = (size_t)blockIdx.x * PROOF_THREADS + threadIdx.x; i < n; i += step) {
        float expected = adds ? __fadd_rn(before_sum(i), a[i]) : a[i];
        if (__float_as_uint(expected) != __float_as_uint(b[i])) found = 1;
    }
    for (int lanes = 16; lanes; lanes /= 2)
        found += ptx::shfl_xor(found, lanes);
    if (found > 0 && threadIdx.x % 32 == 0)
        differs[(blockIdx.x * PROOF_THREADS + threadIdx.x) / 32] = 1;
}

struct proof {
    struct library *l;
    const struct common *common;
    struct product p;    /* of all rows of the last bucket */
    struct mat expected; /* of the reference */
    int *differs;        /* [FLAGS] on the device */
    cudaError_t error;   /* of the GPU: nothing that follows counts */
};

static inline dim3 proof_blocks(size_t n)
{
    size_t blocks = n / (16 * PROOF_THREADS) + 1;
    return dim3(blocks < PROOF_BLOCKS ? (unsigned)blocks : (unsigned)PROOF_BLOCKS);
}

static inline void proof_note(struct proof *t, cudaError_t e)
{
    if (t->error == cudaSuccess) t->error = e;
}

/* Rows [first, first + n) into the same rows of y, which hold no number before, or some where they
 * are added to. */
static inline bool proof_run(struct proof *t, const struct algo *algo, struct mat y, int first,
                             int n)
{
    struct product part = t->p;
    part.x = mat_rows(part.x, first, n);
    part.y = mat_rows(y, first, n);
    size_t words = (size_t)n * (size_t)y.cols;
    if (part.adds)
        proof_note(t, launch(fill_outputs, proof_blocks(words), dim3(PROOF_THREADS), 0, nullptr,
                             (float *)part.y.data, words));
    else
        proof_note(t, cudaMemsetAsync(part.y.data, 0xff, words * sizeof(float), nullptr));
    return enqueue(t->l, t->common, &part, algo, nullptr) == cudaSuccess;
}

/* Does the algorithm give rows [first, first + n), on their own, the bits of the reference? It goes
 * to the flags. */
static inline bool proof_compare(struct proof *t, const struct algo *algo, int first, int n)
{
    size_t words = (size_t)n * (size_t)t->expected.cols;
    if (!proof_run(t, algo, t->p.y, first, n)) return false;
    proof_note(t, launch(note_difference, proof_blocks(words), dim3(PROOF_THREADS), 0, nullptr,
                         t->differs, (const float *)mat_at(t->expected, first, 0),
                         (const float *)mat_at(t->p.y, first, 0), words, t->p.adds));
    return true;
}

/* Are all flags of what has been compared still clear? */
static inline bool proof_passes(struct proof *t)
{
    int differs[FLAGS], any = 0;
    proof_note(
        t, cudaMemcpyAsync(differs, t->differs, sizeof differs, cudaMemcpyDeviceToHost, nullptr));
    proof_note(t, cudaStreamSynchronize(nullptr));
    for (int i = 0; i < FLAGS && t->error == cudaSuccess; i++)
        any |= differs[i];
    return t->error == cudaSuccess && !any;
}

/* Calls of 1 row, of one more than the bucket below has, and of `most`, from the first row on and
 * up to the last one. */
static inline bool rows_are_alone(struct proof *t, const struct algo *algo, int most, int below)
{
    const int n[] = {1, below + 1 < most ? below + 1 : most, most};
    int rows = t->p.x.rows;
    proof_note(t, cudaMemsetAsync(t->differs, 0, FLAGS * sizeof(int), nullptr));
    for (int i = 0; i < 3; i++)
        if (!proof_compare(t, algo, 0, n[i]) || !proof_compare(t, algo, rows - n[i], n[i]) ||
            !proof_passes(t))
            return false;
    return true;
}

static inline int rows_below(int bucket)
{
    return bucket ? bucket_rows[bucket - 1] : 0;
}

/* Of the last bucket; it also stands in where no other passes, so calls of few rows are tried. */
static inline bool find_reference(struct proof *t, struct plan *plan)
{
    struct algo found[MOST_FOUND];
    int last = plan->buckets - 1, rows = t->p.x.rows, n = find(t->l, t->common, &t->p, found);
    for (int i = 0; i < n && t->error == cudaSuccess; i++) {
        plan->algo[last] = found[i];
        if (proof_run(t, &found[i], t->expected, 0, rows) &&
            rows_are_alone(t, &found[i], rows - 1, rows_below(last)))
            return true;
    }
    return false;
}

static inline void find_others(struct proof *t, struct plan *plan)
{
    for (int b = 0; b < plan->buckets - 1 && t->error == cudaSuccess; b++) {
        struct algo found[MOST_FOUND];
        struct product few = t->p;
        few.x.rows = few.y.rows = bucket_rows[b];
        int i = 0, n = find(t->l, t->common, &few, found);
        while (i < n && !rows_are_alone(t, &found[i], bucket_rows[b], rows_below(b)))
            i++;
        plan->algo[b] = i < n ? found[i] : plan->algo[plan->buckets - 1];
    }
}

/* In the most and the fewest rows of each bucket; its algorithms make products with the right bits.
 */
static inline bool add_as_sums(struct proof *t, const struct plan *plan)
{
    bool made = true;
    proof_note(t, cudaMemsetAsync(t->differs, 0, FLAGS * sizeof(int), nullptr));
    t->p.adds = true;
    for (int b = 0; b < plan->buckets && made; b++) {
        int last = bucket_rows[b] - 1;
        made = proof_compare(t, &plan->algo[b], 0, last + 1) &&
               proof_compare(t, &plan->algo[b], last - rows_below(b), rows_below(b) + 1);
    }
    t->p.adds = false;
    return made && proof_passes(t);
}

static inline int buckets_of(const struct library *l, struct kind kind)
{
    size_t row = mat_bytes(DT_F32, 1, kind.outputs);
    int n = 1;
    while (n < BUCKETS && bucket_rows[n] <= most_rows(l) &&
           (size_t)bucket_rows[n] * row <= MOST_PROOF_BYTES)
        n++;
    return n;
}

/* Bytes of device memory for the proof of a kind: inputs, outputs, those of the reference, a bias
 * and flags, on 256 bytes each. */
struct proof_room {
    size_t x, y, bias, bytes;
};

static inline struct proof_room proof_room_of(const struct library *l, struct kind kind)
{
    int rows = bucket_rows[buckets_of(l, kind) - 1];
    struct proof_room r = {(mat_bytes(DT_BF16, rows, kind.inputs) + 255) / 256 * 256,
                           (mat_bytes(DT_F32, rows, kind.outputs) + 255) / 256 * 256,
                           ((size_t)kind.outputs * sizeof(float) + 255) / 256 * 256, 0};
    r.bytes = r.x + 2 * r.y + r.bias + FLAGS * sizeof(int);
    return r;
}

/* FNV-1a */
static inline uint32_t hash_more(uint32_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return hash;
}

/* A plan for products of w of that kind, added to the others; its buckets are 0 where no algorithm
 * passed. room: device memory of proof_room_of's bytes. Waits until all is done. */
static inline cudaError_t plan_add(struct plans *plans, struct kind kind, struct weight w,
                                   void *room)
{
    struct plan *plan = &plans->of[plans->n];
    struct proof_room r = proof_room_of(plans->library, kind);
    int rows = bucket_rows[buckets_of(plans->library, kind) - 1];
    uint8_t *x = (uint8_t *)room, *y = x + r.x, *expected = y + r.y, *bias = expected + r.y;
    struct proof t = {plans->library,
                      &plan->common,
                      {mat_of(y, DT_F32, rows, kind.outputs), mat_of(x, DT_BF16, rows, kind.inputs),
                       w, kind.has_bias ? (const float *)bias : nullptr, false},
                      mat_of(expected, DT_F32, rows, kind.outputs),
                      (int *)(bias + r.bias),
                      cudaSuccess};
    size_t n = (size_t)rows * (size_t)kind.inputs;
    *plan = {};
    plan->kind = kind;
    plan->buckets = buckets_of(plans->library, kind);
    proof_note(&t, cudaMemsetAsync(bias, 0x3c, r.bias, nullptr)); /* 0.0115 each */
    proof_note(&t, launch(fill_inputs, proof_blocks(n), dim3(PROOF_THREADS), 0, nullptr,
                          (uint16_t *)x, n));
    if (common_open(plans->library, &t.p, &plan->common) && find_reference(&t, plan)) {
        find_others(&t, plan);
        plan->adds = add_as_sums(&t, plan);
    } else {
        plan->buckets = 0;
    }
    proof_note(&t, cudaStreamSynchronize(nullptr));
    if (t.error != cudaSuccess) {
        common_close(plans->library, &plan->common);
        return t.error;
    }
    plans->hash = hash_more(plans->hash, &plan->kind.outputs, 2 * sizeof(int));
    plans->hash = hash_more(plans->hash, plan->algo, (size_t)plan->buckets * sizeof *plan->algo);
    plans->hash = hash_more(plans->hash, &plan->adds, sizeof plan->adds);
    plans->n++;
    return cudaSuccess;
}

static inline void plans_close(const struct cuda_host *host, struct plans *plans)
{
    for (int i = 0; i < plans->n; i++)
        common_close(plans->library, &plans->of[i].common);
    close(host, plans->library);
}

/* ---- use ---- */

/* Everything begins on 16 bytes: as every row of a view does, or none. */
static inline bool takes(const struct product *p)
{
    uintptr_t at =
        (uintptr_t)p->x.data | (uintptr_t)p->y.data | (uintptr_t)p->w.data | (uintptr_t)p->bias;
    return p->w.format == WEIGHT_BF16 && p->x.dtype == DT_BF16 && p->y.dtype == DT_F32 &&
           p->w.cols % 8 == 0 && p->x.stride % 8 == 0 && p->y.stride % 4 == 0 && at % 16 == 0;
}

static inline cudaError_t multiply(const struct plans *plans, const struct plan *plan,
                                   const struct product *p, cudaStream_t stream)
{
    int most = bucket_rows[plan->buckets - 1], rows = p->x.rows;
    for (int first = 0, n; first < rows; first += n) {
        struct product part = *p;
        int b = 0;
        n = rows - first < most ? rows - first : most;
        while (bucket_rows[b] < n)
            b++;
        part.x = mat_rows(p->x, first, n);
        part.y = mat_rows(p->y, first, n);
        cudaError_t e = enqueue(plans->library, &plan->common, &part, &plan->algo[b], stream);
        if (e != cudaSuccess) return e;
    }
    return cudaSuccess;
}
} // namespace lt

#endif
