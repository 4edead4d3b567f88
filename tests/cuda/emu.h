/* emu.h - what device.cuh includes where no CUDA compiler reads it: kernels run on the host.
 *
 * Seen: access out of bounds or misaligned (ASan, UBSan), shared memory that is read before it is
 * written (it is NaN), missing barriers and cp.async waits (TSan over fibers; copies land as late
 * as allowed), divergent barriers and shuffles, deadlock, dependence on the order of blocks and
 * warps, host access to device memory, copies and launches whose order no stream enforces, calls
 * that fail. Not seen: memory order between blocks, bank conflicts, occupancy, registers, the PTX
 * strings of device.cuh, and that tensor cores round in another way. */
#ifndef TESTS_CUDA_EMU_H
#define TESTS_CUDA_EMU_H

#include "tests/cuda/cuda_stub.h"
#include "tests/cuda/emu_ptx.h"

template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 cudaStream_t stream, A... a)
{
    return stub::push(stream, [=] { emu::run(grid, block, shared, [&] { kernel(P(a)...); }); });
}

struct chain { /* as in device.cuh */
    cudaGraph_t graph;
    cudaGraphNode_t *last;
};

template <class... P, class... A>
static inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                 struct chain chain, A... a)
{
    cudaGraphNode_t before = *chain.last;
    return stub_graph_add(chain.last, chain.graph, &before, before ? 1 : 0,
                          [=] { emu::run(grid, block, shared, [&] { kernel(P(a)...); }); });
}

#endif
