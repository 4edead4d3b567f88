/* wants_cuda.h - whether tests run on a GPU: where the environment has VLQA_TEST_DEVICE=cuda. Who
 * asks for a GPU that cannot be opened gets failures with the reason, not skips. */
#ifndef TESTS_WANTS_CUDA_H
#define TESTS_WANTS_CUDA_H

#include <stdlib.h>
#include <string.h>

static inline int wants_cuda(void)
{
    const char *device = getenv("VLQA_TEST_DEVICE");
    return device && strcmp(device, "cuda") == 0;
}

#endif
