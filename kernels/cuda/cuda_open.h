/* cuda_open.h - devices of CUDA, by a module that is found at run time. */
#ifndef KERNELS_CUDA_CUDA_OPEN_H
#define KERNELS_CUDA_CUDA_OPEN_H

#include "kernels/cuda/cuda_module.h"

extern const struct cuda_host cuda_host; /* what this library hands to a module */

/* The gpu-th device; VLQA_EDEVICE where there is no module, driver or device, with the reason. */
vlqa_status cuda_open(struct env *env, int gpu, struct device **out);

#endif
