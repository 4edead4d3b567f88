/* cuda_open.c - finds the module of CUDA beside this library and opens a device with it. */
#include "kernels/cuda/cuda_open.h"

#include "base/heap.h"
#include "base/pool.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODULE "libvlqa-cuda.so"
#define PATH_BYTES 4096

struct copy {
    char *dst;
    const char *src;
    size_t bytes;
};

#define COPY_PART ((size_t)256 << 10) /* of a thread at a time */

static void copy_parts(void *arg, int begin, int end, int worker)
{
    const struct copy *c = arg;
    size_t from = (size_t)begin * COPY_PART, to = (size_t)end * COPY_PART;
    (void)worker;
    if (to > c->bytes) to = c->bytes;
    memcpy(c->dst + from, c->src + from, to - from);
}

/* One thread reads memory slower than PCIe takes it. */
static void copy(struct env *env, void *dst, const void *src, size_t bytes)
{
    struct copy c = {dst, src, bytes};
    pool_for(env->pool, (int)((bytes + COPY_PART - 1) / COPY_PART), 1, copy_parts, &c);
}

const struct cuda_host cuda_host = {heap_alloc_zero, heap_free, env_fail, copy, env_log};

/* The file that this code is in: libvlqa.so, or a program. Returns 0 where it has no place. */
static int own_path(char path[PATH_BYTES])
{
    static const char here;
    Dl_info info;
    ssize_t n;
    if (dladdr(&here, &info) && info.dli_fname && strchr(info.dli_fname, '/'))
        return snprintf(path, PATH_BYTES, "%s", info.dli_fname) < PATH_BYTES;
    n = readlink("/proc/self/exe", path, PATH_BYTES - 1);
    if (n <= 0) return 0;
    path[n] = '\0';
    return 1;
}

/* The module in a folder beside our own; NULL without a word where there is none. */
static void *open_beside(const char *folder, char path[PATH_BYTES])
{
    char *slash;
    size_t room;
    if (!own_path(path)) return NULL;
    slash = strrchr(path, '/');
    if (!slash) return NULL;
    room = (size_t)(path + PATH_BYTES - slash);
    if ((size_t)snprintf(slash, room, "/%s%s", folder, MODULE) >= room) return NULL;
    return access(path, R_OK) == 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* dlerror's words of the last try; a name without a place is the loader's to find. */
static void *open_module(char path[PATH_BYTES])
{
    static const char *const folder[] = {"", "../" VLQA_LIBDIR "/"};
    void *module = NULL;
    for (size_t i = 0; i < sizeof folder / sizeof *folder && !module; i++) {
        path[0] = '\0';
        module = open_beside(folder[i], path);
        if (!module && access(path, R_OK) == 0) return NULL; /* it is there, and broken */
    }
    return module ? module : dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
}

/* The module stays: its code may run until the process ends. */
vlqa_status cuda_open(struct env *env, int gpu, struct device **out)
{
    char path[PATH_BYTES];
    void *module = open_module(path);
    const struct cuda_module *m;
    cuda_module_fn *entry;
    *out = NULL;
    if (!module) return env_fail(env, VLQA_EDEVICE, "no CUDA: %s", dlerror());
    *(void **)&entry = dlsym(module, CUDA_MODULE_ENTRY);
    m = entry ? entry() : NULL;
    if (!m || m->version != CUDA_MODULE_VERSION)
        return env_fail(env, VLQA_EDEVICE,
                        "no CUDA: " MODULE " is of version %d, expected %d: install the module of "
                        "this library",
                        m ? m->version : 0, CUDA_MODULE_VERSION);
    return m->open(&cuda_host, env, gpu, out);
}
