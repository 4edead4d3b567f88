/* cuda_open.c - opens a device with the module of CUDA. */
#include "kernels/cuda/cuda_open.h"

#include "base/heap.h"
#include "base/pool.h"
#include "kernels/module.h"

#include <string.h>

#define MODULE "libvlqa-cuda.so"

struct copy {
    char *dst;
    const char *src;
    size_t bytes;
};

#define COPY_PART ((size_t)256 << 10) /* of a thread at a time */

static void copy_parts(void *arg, int begin, int end, int worker)
{
    const struct copy *c = arg;
    size_t from = (size_t)begin * COPY_PART, to = (size_t)end * COPY_PART;
    (void)worker;
    if (to > c->bytes) to = c->bytes;
    memcpy(c->dst + from, c->src + from, to - from);
}

/* One thread reads memory slower than PCIe takes it. */
static void copy(struct env *env, void *dst, const void *src, size_t bytes)
{
    struct copy c = {dst, src, bytes};
    pool_for(env->pool, (int)((bytes + COPY_PART - 1) / COPY_PART), 1, copy_parts, &c);
}

const struct cuda_host cuda_host = {heap_alloc_zero,  heap_free,  env_fail,  copy,       env_log,
                                    comm_gather_host, comm_agree, comm_look, comm_failed};

vlqa_status cuda_open(struct env *env, int gpu, struct device **out)
{
    const char *reason;
    const struct cuda_module *m;
    cuda_module_fn *entry;
    *out = NULL;
    *(void **)&entry = module_symbol(MODULE, CUDA_MODULE_ENTRY, 0, &reason);
    if (!entry) return env_fail(env, VLQA_EDEVICE, "no CUDA: %s", reason);
    m = entry();
    if (m->version != CUDA_MODULE_VERSION)
        return env_fail(env, VLQA_EDEVICE,
                        "no CUDA: " MODULE " is of version %d, expected %d: install the module of "
                        "this library",
                        m->version, CUDA_MODULE_VERSION);
    return m->open(&cuda_host, env, gpu, out);
}
