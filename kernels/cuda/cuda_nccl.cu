/* cuda_nccl.cu - NCCL as a library that is looked for at run time: where the loader looks, and in
 * /usr/local/cuda. */
#include "kernels/cuda/cuda_nccl.cuh"

#include <dlfcn.h>
#include <stdio.h>

#define FILE_NAME "libnccl.so.2"

namespace nccl
{
static void *open_library()
{
    const char *const place[] = {FILE_NAME, "/usr/local/cuda/lib64/" FILE_NAME,
                                 "/usr/local/cuda/lib/" FILE_NAME};
    void *found = nullptr;
    for (size_t i = 0; i < sizeof place / sizeof *place && !found; i++)
        found = dlopen(place[i], RTLD_NOW | RTLD_LOCAL);
    return found;
}

/* The library stays: its code may run until the process ends. */
bool load(library *l, char why[512])
{
    const struct {
        const char *name;
        void **to;
    } all[] = {
        {"ncclGetVersion", (void **)&l->version},
        {"ncclGetUniqueId", (void **)&l->unique},
        {"ncclCommInitRankConfig", (void **)&l->open}, /* since 2.14 */
        {"ncclCommAbort", (void **)&l->abort},
        {"ncclCommGetAsyncError", (void **)&l->async_error},
        {"ncclGroupStart", (void **)&l->group_start},
        {"ncclGroupEnd", (void **)&l->group_end},
        {"ncclBroadcast", (void **)&l->broadcast},
        {"ncclGetErrorString", (void **)&l->error_string},
    };
    void *from = open_library();
    if (!from) {
        const char *said = dlerror();
        snprintf(why, 512, "%s", said ? said : FILE_NAME " is not found");
        return false;
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].to = dlsym(from, all[i].name);
        if (*all[i].to) continue;
        snprintf(why, 512, FILE_NAME " has no %s: NCCL 2.14 or later is needed", all[i].name);
        return false;
    }
    return true;
}
} // namespace nccl
