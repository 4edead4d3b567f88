/* module.c - finds a module beside this library, or where the loader finds it. */
#include "kernels/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

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

/* The path of a module in a folder beside our own; 0 where there is none. */
static int path_beside(const char *folder, const char *module, char path[PATH_BYTES])
{
    char *slash;
    size_t room;
    if (!own_path(path)) return 0;
    slash = strrchr(path, '/');
    if (!slash) return 0;
    room = (size_t)(path + PATH_BYTES - slash);
    if ((size_t)snprintf(slash, room, "/%s%s", folder, module) >= room) return 0;
    return access(path, R_OK) == 0;
}

void *module_symbol(const char *module, const char *symbol, int global, const char **reason)
{
    static const char *const folder[] = {"", "../" VLQA_LIBDIR "/"};
    int flags = RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL);
    const char *name = module; /* without a place it is the loader's to find */
    char path[PATH_BYTES];
    void *handle, *found = NULL;
    for (size_t i = 0; i < sizeof folder / sizeof *folder && name == module; i++)
        if (path_beside(folder[i], module, path)) name = path;
    handle = dlopen(name, flags);
    if (handle) found = dlsym(handle, symbol);
    *reason = found ? NULL : dlerror();
    return found;
}
