/* place.c - files that belong to the program, wherever it lies. */
#include "eval/cli/place.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of this program, ending with '/', or "". */
static void program_directory(char *path, size_t cap)
{
    ssize_t bytes = readlink("/proc/self/exe", path, cap - 1);
    char *slash;
    path[bytes > 0 ? bytes : 0] = 0;
    slash = strrchr(path, '/');
    if (slash) slash[1] = 0;
}

int place_find(const char *const places[3], char *path, size_t cap)
{
    char program[4096];
    program_directory(program, sizeof program);
    for (size_t i = 0; i < 3; i++) {
        const char *before = places[i][0] == '/' ? "" : program;
        if (places[i][0] != '/' && !program[0]) continue;
        if (snprintf(path, cap, "%s%s", before, places[i]) < (int)cap && access(path, F_OK) == 0)
            return 1;
    }
    return 0;
}

int place_of_parquet_script(char *path, size_t cap)
{
    static const char *const places[] = {"../eval/data/from_parquet.py",
                                         "../share/vlqa/from_parquet.py",
                                         VLQA_INSTALLED_MODEL "/../from_parquet.py"};
    char found[PATH_MAX], real[PATH_MAX];
    if (!place_find(places, found, sizeof found) || !realpath(found, real)) return 0;
    return snprintf(path, cap, "%s", real) < (int)cap;
}
