/* emu_lt.h - the algorithms of the emulated cuBLASLt. */
#ifndef TESTS_CUDA_EMU_LT_H
#define TESTS_CUDA_EMU_LT_H

#include "kernels/cuda/cuda_lt.cuh"

namespace lt
{
enum {
    EMU_REFUSES,       /* it cannot make the product */
    EMU_ASCENDING,     /* rows are alone */
    EMU_SAME_BITS,     /* and have the same bits */
    EMU_SPLIT,         /* sums of two halves: rows are alone, with other bits */
    EMU_BY_PLACE,      /* halves in odd rows of the call */
    EMU_OTHER_FOR_FEW, /* halves in calls of few rows */
    EMU_FROM_Y         /* rows are alone; a sum that is added to y begins with it */
};

enum { EMU_OUTPUTS_FROM_Y = 24 }; /* of products for which it is proposed */

void emu_miss(bool is_missing); /* from now on there is no library */
} // namespace lt

#endif
