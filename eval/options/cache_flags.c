/* cache_flags.c - where records are kept. */
#include "eval/options/cache_flags.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *cache_dir(const struct cache_args *args, char path[CACHE_PATH])
{
    if (args->dir) return args->dir;
    return args_cache_home(path, CACHE_PATH - 5) ? strcat(path, "/vlqa") : NULL;
}

/* A home that has no cache home yet gets one; where that cannot be, nothing is kept on disk, and
 * as nobody asked for it, nobody is told. */
static const char *usable_dir(const struct cache_args *args, char path[CACHE_PATH])
{
    if (args->off || args->is_home_only) return NULL;
    if (args->dir) return args->dir;
    if (!args_cache_home(path, CACHE_PATH)) return NULL;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return NULL;
    return cache_dir(args, path);
}

void cache_options(const struct cache_args *args, char path[CACHE_PATH],
                   struct vlqa_engine_options *out)
{
    out->no_cache = args->off;
    out->cache_dir = usable_dir(args, path);
    out->cache_salt = args->salt;
    if (args->is_home_only) return; /* the runtime's own sizes */
    out->cache_ram_bytes = args->ram_mib << 20;
    out->cache_disk_bytes = args->disk_mib << 20;
    out->gpu_cache_bytes = args->gpu_mib << 20;
    out->load_or_compute = args->load_or_compute;
}

int cache_check(struct cli *cli, const struct cache_args *args, const struct vlqa_engine *engine)
{
    struct vlqa_cache_stats info;
    char path[CACHE_PATH];
    vlqa_status flushed;
    if (!args->strict || args->off) return CLI_OK;
    flushed = vlqa_cache_flush(engine); /* so that the counts are those of this run */
    if (vlqa_cache_read_stats(engine, &info, sizeof info) != VLQA_OK) return CLI_OK;
    if (!usable_dir(args, path))
        cli_note(cli, "cache: there is no home for it: give --cache-dir DIR");
    else if (info.disk_problem[0])
        cli_note(cli, "cache: %s", info.disk_problem);
    else if (flushed != VLQA_OK)
        cli_note(cli, "cache: the disk does not answer");
    else if (info.rejected || info.write_failures)
        cli_note(cli, "cache: %llu damaged records, %llu not written",
                 (unsigned long long)info.rejected, (unsigned long long)info.write_failures);
    else
        return CLI_OK;
    return CLI_CACHE;
}
