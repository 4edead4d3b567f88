/* cuda_act.cuh - activations behind a product. */
#ifndef KERNELS_CUDA_CUDA_ACT_CUH
#define KERNELS_CUDA_CUDA_ACT_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/tensor.h"

DEVICE float activated(float x, enum act act)
{
    const float root = 0.797884560802865f; /* sqrt(2 / pi) */
    if (act == ACT_GELU_TANH) return 0.5f * x * (1.0f + tanhf(root * (x + 0.044715f * x * x * x)));
    if (act == ACT_GELU_ERF) return 0.5f * x * (1.0f + erff(x * 0.707106781186547f));
    return x;
}

#endif
