/* emu_device.cu - opens the CUDA backend over the emulation, and what tests do to it. */
#include "tests/cuda/emu_device.h"

#include "kernels/cuda/cuda_open.h"
#include "kernels/cuda/device.cuh"

vlqa_status emu_open(struct env *env, struct device **out)
{
    stub::turn mine(stub::m.lock);
    if (!emu::s.known) emu::read_order();
    return vlqa_cuda_module()->open(&cuda_host, env, 0, out);
}

void emu_fail_alloc(long after)
{
    stub::m.fail_alloc = after;
}

void emu_fail_work(long after)
{
    stub::m.fail_work = after;
    if (after >= 0) return;
    if (stub::m.sticky != cudaSuccess) stub::finish_all(); /* nothing of it happens */
    stub::m.sticky = cudaSuccess;                          /* another process would begin anew */
}

void emu_fail_graph(long after)
{
    stub::m.fail_graph = after;
}

struct emu_counts emu_count(void)
{
    stub::turn mine(stub::m.lock);
    return {stub::m.allocs, stub::m.works,       stub::m.syncs,         emu::s.launches,
            stub::m.taken,  stub::m.graphs_made, stub::m.graph_launches};
}
