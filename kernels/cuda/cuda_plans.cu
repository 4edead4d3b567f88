/* cuda_plans.cu - products by cuBLASLt where it is there and lt_plans.cuh has found a way. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/lt_plans.cuh"

#include <stdio.h>

/* Plans, opened or found missing; NULL: no memory. */
static struct lt::plans *plans_of(struct env *env, struct gpu *g)
{
    char why[512];
    if (!g->plans) g->plans = (struct lt::plans *)g->host->alloc_zero(sizeof *g->plans);
    if (!g->plans || g->plans->tried) return g->plans;
    g->plans->tried = true;
    g->plans->library = lt::open(g->host, why);
    if (!g->plans->library)
        g->host->log(env, VLQA_LOG_WARN, "no cuBLASLt, products are slower: %s", why);
    return g->plans;
}

static void name_arithmetic(struct gpu *g)
{
    size_t version = lt::version(g->plans->library);
    uint32_t hash = lt::hash_more(g->plans->hash, &version, sizeof version);
    snprintf(g->arithmetic, sizeof g->arithmetic, "%s lt %08x", g->name, (unsigned)hash);
}

static vlqa_status add(struct env *env, struct gpu *g, struct lt::kind kind, struct weight w)
{
    struct lt::plans *plans = g->plans;
    size_t bytes = lt::proof_room_of(plans->library, kind).bytes;
    void *room = g->op.alloc(&g->device, bytes);
    if (!room) return g->op.no_memory(env, &g->device, "the choice of products", bytes);
    cudaError_t e = lt::plan_add(plans, kind, w, room);
    g->op.release(&g->device, room);
    if (e != cudaSuccess)
        return g->host->fail(env, VLQA_EDEVICE, "GPU %d failed at the choice of products: %s",
                             g->index, cudaGetErrorString(e));
    if (!plans->of[plans->n - 1].buckets)
        g->host->log(env, VLQA_LOG_WARN,
                     "cuBLASLt has no product of %d outputs and %d inputs whose rows are alone: "
                     "it is made in a slower way",
                     kind.outputs, kind.inputs);
    name_arithmetic(g);
    return VLQA_OK;
}

vlqa_status cuda_expect(struct env *env, struct device *d, struct weight w, enum dtype x,
                        int has_bias)
{
    struct gpu *g = gpu_of(d);
    struct lt::kind kind = {w.rows, w.cols, has_bias != 0};
    struct lt::product p = {{nullptr, DT_F32, 1, w.rows, w.rows},
                            {nullptr, x, 1, w.cols, w.cols},
                            w,
                            has_bias ? (const float *)w.data : nullptr,
                            false};
    if (!lt::takes(&p)) return VLQA_OK;
    if (cudaSetDevice(g->index) != cudaSuccess || !plans_of(env, g))
        return g->op.no_memory(env, d, "plans", sizeof *g->plans);
    if (!g->plans->library || g->plans->n == lt::MOST_KINDS || lt::plan_of(g->plans, kind))
        return VLQA_OK;
    return add(env, g, kind, w);
}

void cuda_plans_close(struct gpu *g)
{
    if (g->plans) lt::plans_close(g->host, g->plans);
    g->host->free(g->plans);
}

bool cuda_multiply_planned(struct queue *q, struct mat x, const struct product *one)
{
    const struct lt::plans *plans = gpu_of(q->device)->plans;
    bool adds = one->delta.data != nullptr;
    struct lt::product p = {one->y, x, one->w, (const float *)one->bias.data, adds};
    const struct lt::plan *plan = plans ? lt::plan_of(plans, lt::kind_of(&p)) : nullptr;
    if (plan && adds && !plan->adds) {
        p.y = one->delta;
        p.adds = false;
    }
    if (!plan || !plan->buckets || !lt::takes(&p)) return false;
    if (cuda_ready(q, "matmul"))
        cuda_note(q, "matmul", lt::multiply(plans, plan, &p, cuda_of(q)->stream));
    if (adds && !p.adds) cuda_add(q, one->y, one->delta, ints{});
    return true;
}
