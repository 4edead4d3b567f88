/* test_nccl_types.cpp - what nccl_types.cuh declares is what the header of NCCL says: it compiles.
 */
#include "kernels/cuda/nccl_types.cuh"

#include <nccl.h>
#include <type_traits>

#define SAME(ours, theirs) static_assert((size_t)(ours) == (size_t)(theirs), #theirs)

SAME(nccl::SUCCESS, ncclSuccess);
SAME(nccl::IN_PROGRESS, ncclInProgress);
SAME(nccl::UINT8, ncclUint8);
SAME(sizeof(nccl::unique_id), sizeof(ncclUniqueId));
static_assert(alignof(nccl::unique_id) == alignof(ncclUniqueId), "it is passed by value");
SAME(offsetof(nccl::config, size), offsetof(ncclConfig_t, size));
SAME(offsetof(nccl::config, magic), offsetof(ncclConfig_t, magic));
SAME(offsetof(nccl::config, version), offsetof(ncclConfig_t, version));
SAME(offsetof(nccl::config, blocking), offsetof(ncclConfig_t, blocking));
static_assert(sizeof(nccl::config) <= sizeof(ncclConfig_t), "ours is the older one");
static constexpr ncclConfig_t initial = NCCL_CONFIG_INITIALIZER;
SAME(nccl::CONFIG_MAGIC, initial.magic);
static_assert(nccl::CONFIG_VERSION == NCCL_VERSION(2, 14, 0) && NCCL_VERSION_CODE >= 21400, "2.14");

/* Functions take as many arguments, each handed over in the same way. */
template <class T>
using as_passed = typename std::conditional<
    std::is_pointer<T>::value, void *,
    typename std::conditional<std::is_enum<T>::value, int,
                              typename std::conditional<std::is_class<T>::value, nccl::unique_id,
                                                        T>::type>::type>::type;
template <class R, class... A> as_passed<R> (*passed(R (*)(A...)))(as_passed<A>...);

#define SAME_CALL(ours, theirs)                                                 \
    static_assert(std::is_same<decltype(passed(nccl::calls<cudaStream_t>().ours)), \
                               decltype(passed(&theirs))>::value,               \
                  #theirs)

SAME_CALL(version, ncclGetVersion);
SAME_CALL(unique, ncclGetUniqueId);
SAME_CALL(open, ncclCommInitRankConfig);
SAME_CALL(abort, ncclCommAbort);
SAME_CALL(async_error, ncclCommGetAsyncError);
SAME_CALL(group_start, ncclGroupStart);
SAME_CALL(group_end, ncclGroupEnd);
SAME_CALL(broadcast, ncclBroadcast);
SAME_CALL(error_string, ncclGetErrorString);
