/* cache_flags.h - the options that say where chunks are kept, for every verb that keeps some. */
#ifndef EVAL_CACHE_FLAGS_H
#define EVAL_CACHE_FLAGS_H

#include "eval/cli/cli.h"

#define CACHE_PATH 4096

struct cache_args {
    const char *dir, *salt;
    int64_t ram_mib, disk_mib, gpu_mib;
    int off, strict, load_or_compute;
    int is_home_only; /* records stay in RAM; the directory is for other files */
};

/* --cache-dir, or vlqa in the user's cache home, written to path; NULL: neither is there. */
const char *cache_dir(const struct cache_args *args, char path[CACHE_PATH]);
/* Into the options of an engine; path must live until it is open. */
void cache_options(const struct cache_args *args, char path[CACHE_PATH],
                   struct vlqa_engine_options *out);
/* With --cache-strict CLI_CACHE after a message when the cache had a problem; else CLI_OK. */
int cache_check(struct cli *cli, const struct cache_args *args, const struct vlqa_engine *engine);

/* Rows of a table whose struct `type` has a struct cache_args called `member`. */
#define CACHE_DIR_ARG(type, member)                                                          \
    {                                                                                        \
        ARG_TEXT, .name = "cache-dir", .value = "DIR", .offset = offsetof(type, member.dir), \
                  .help = "directory of the records [vlqa in $XDG_CACHE_HOME or ~/.cache]"   \
    }

#define CACHE_ARGS(type, member)                                                                  \
    {ARG_HEADING, .name = "Cache"}, CACHE_DIR_ARG(type, member),                                  \
        {ARG_INT64,                                                                               \
         .name = "cache-ram",                                                                     \
         .value = "MIB",                                                                          \
         .min = 1,                                                                                \
         .max = 1 << 30,                                                                          \
         .fallback = "1024",                                                                      \
         .offset = offsetof(type, member.ram_mib),                                                \
         .help = "memory for records, in MiB"},                                                   \
        {ARG_INT64,                                                                               \
         .name = "cache-disk",                                                                    \
         .value = "MIB",                                                                          \
         .min = 1,                                                                                \
         .max = 1 << 30,                                                                          \
         .fallback = "4096",                                                                      \
         .offset = offsetof(type, member.disk_mib),                                               \
         .help =                                                                                  \
             "size of the directory, in MiB; the least recently used records are removed first"}, \
        {ARG_INT64,                                                                               \
         .name = "gpu-cache",                                                                     \
         .value = "MIB",                                                                          \
         .max = 1 << 30,                                                                          \
         .fallback = "0",                                                                         \
         .offset = offsetof(type, member.gpu_mib),                                                \
         .help = "memory of the GPU for the chunks that were used last, in MiB"},                 \
        {ARG_FLAG, .name = "load-or-compute", .offset = offsetof(type, member.load_or_compute),   \
         .help = "compute stored chunks again where loading is estimated to take longer"},        \
        {ARG_TEXT, .name = "cache-salt", .value = "TEXT", .offset = offsetof(type, member.salt),  \
         .help = "text in the keys of records: records of another salt are never used [none]"},   \
        {ARG_FLAG, .name = "no-cache", .offset = offsetof(type, member.off),                      \
         .help = "neither store nor use records"},                                                \
    {                                                                                             \
        ARG_FLAG, .name = "cache-strict", .offset = offsetof(type, member.strict),                \
                  .help = "exit with code 6 if the cache had a problem; the answer is the same"   \
    }

#endif
