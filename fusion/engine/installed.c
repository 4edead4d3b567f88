/* installed.c - where the default model lies: beside the library, beside the program, or where they
 * were installed. */
#include "include/vlqa.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of a file, ending with '/', or "". */
static void folder_of(char *path)
{
    char *slash = strrchr(path, '/');
    path[slash ? slash + 1 - path : 0] = 0;
}

static void program_folder(char *path, size_t cap)
{
    ssize_t bytes = readlink("/proc/self/exe", path, cap - 1);
    path[bytes > 0 ? bytes : 0] = 0;
    folder_of(path);
}

/* Of the shared library; of the program where it is linked to the static one. */
static void library_folder(char *path, size_t cap)
{
    static const char here;
    Dl_info info;
    const char *file = dladdr(&here, &info) ? info.dli_fname : NULL;
    if (cap < PATH_MAX || !file || !realpath(file, path)) path[0] = 0; /* it may be relative */
    folder_of(path);
}

/* 1: it is there. A path that does not fit is none. */
static int is_at(char *path, size_t cap, const char *folder, const char *place)
{
    if (place[0] != '/' && !folder[0]) return 0;
    if (snprintf(path, cap, "%s%s", place[0] == '/' ? "" : folder, place) >= (int)cap) return 0;
    return access(path, F_OK) == 0;
}

vlqa_status vlqa_default_model_path(char *path, size_t cap)
{
    /* beside a build folder; beside bin or lib; beside lib/x86_64-linux-gnu */
    static const char *const places[] = {"../assets/default-model", "../share/vlqa/default-model",
                                         "../../share/vlqa/default-model"};
    char folder[4096];
    if (!path || cap <= strlen(VLQA_INSTALLED_MODEL)) return VLQA_EUSAGE;
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            program_folder(folder, sizeof folder);
        else
            library_folder(folder, sizeof folder);
        for (size_t k = 0; k < sizeof places / sizeof *places; k++)
            if (is_at(path, cap, folder, places[k])) return VLQA_OK;
    }
    return is_at(path, cap, "", VLQA_INSTALLED_MODEL) ? VLQA_OK : VLQA_EIO;
}
