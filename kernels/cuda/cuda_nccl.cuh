/* cuda_nccl.cuh - NCCL, which is opened at run time: cuda_nccl.cu has it from the library, the
 * emulation from tests/cuda/nccl_stub.cu. */
#ifndef KERNELS_CUDA_CUDA_NCCL_CUH
#define KERNELS_CUDA_CUDA_NCCL_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/nccl_types.cuh"

namespace nccl
{
typedef struct calls<cudaStream_t> library;

/* Nonzero: filled in. Else `why` says what is missing. */
bool load(library *l, char why[512]);
} // namespace nccl

#endif
