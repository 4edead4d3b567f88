/* lt_types.cuh - what is used of cuBLASLt's interface, declared here because builds do not need its
 * headers; tests/cuda/test_lt_types.cpp compares the two where they are installed.
 *
 * The numbers are those of cuBLASLt 12 and 13. */
#ifndef KERNELS_CUDA_LT_TYPES_CUH
#define KERNELS_CUDA_LT_TYPES_CUH

#include <stddef.h>
#include <stdint.h>

namespace lt
{
typedef struct context *handle;
typedef struct opaque_desc *desc;
typedef struct opaque_layout *layout;
typedef struct opaque_preference *preference;

struct algo { /* may be copied, and compared by its bytes */
    uint64_t data[8];
};

struct heuristic { /* an algorithm that the library proposes */
    struct algo algo;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

enum {
    STATUS_SUCCESS = 0,
    OP_T = 1,
    REAL_F32 = 0,
    REAL_BF16 = 14,
    COMPUTE_F32 = 68,
    DESC_TRANSA = 3,
    DESC_EPILOGUE = 7,
    DESC_BIAS_POINTER = 8,
    EPILOGUE_DEFAULT = 1,
    EPILOGUE_BIAS = 4,
    PREF_MAX_WORKSPACE = 1,
    PREF_REDUCTION_SCHEMES = 3,
    PREF_MIN_ALIGNMENT_A = 5, /* and of B, C, D behind it */
    REDUCTION_NONE = 0,
    CONFIG_SPLIT_K = 2,
    CONFIG_REDUCTION_SCHEME = 3
};
} // namespace lt

#endif
