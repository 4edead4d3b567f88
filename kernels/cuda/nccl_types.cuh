/* nccl_types.cuh - what is used of NCCL's interface, declared here because builds do not need its
 * header; tests/cuda/test_nccl_types.cpp compares the two where that is installed.
 *
 * The numbers are those of NCCL 2.14, which later ones keep. */
#ifndef KERNELS_CUDA_NCCL_TYPES_CUH
#define KERNELS_CUDA_NCCL_TYPES_CUH

#include <stddef.h>

namespace nccl
{
typedef struct opaque_comm *comm; /* a communicator: one rank's end of it */

struct unique_id { /* of a communicator: rank 0 makes it, and all open it with that */
    char byte[128];
};

struct config { /* of 2.14; later ones are longer, and NCCL fills in what is not here */
    size_t size;
    unsigned magic, version;
    int blocking; /* 0: calls return at once, and async_error tells when they are through */
};

enum {
    SUCCESS = 0,
    IN_PROGRESS = 7,
    UINT8 = 1, /* a type of data */
    CONFIG_VERSION = 21400
};
static const unsigned CONFIG_MAGIC = 0xcafebeef;

/* Functions return SUCCESS, IN_PROGRESS or an error. */
template <class STREAM> struct calls {
    int (*version)(int *);
    int (*unique)(unique_id *);
    int (*open)(comm *, int n, unique_id, int rank, config *);
    int (*abort)(comm); /* what is in a stream ends, and the communicator is freed */
    int (*async_error)(comm, int *result);
    int (*group_start)();
    int (*group_end)();
    int (*broadcast)(const void *from, void *to, size_t count, int type, int root, comm, STREAM);
    const char *(*error_string)(int result);
};
} // namespace nccl

#endif
