/* fake_cache.c - what the fake runtime keeps: whatever the script says. */
#include "tests/eval/fake_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

vlqa_status vlqa_decode_image(struct vlqa_session *session, const void *data, size_t bytes,
                              const char *name, struct vlqa_pixels *out, size_t out_bytes)
{
    (void)session, (void)data, (void)out_bytes;
    note_call("decode %s %zu", name, bytes);
    *out = (struct vlqa_pixels){calloc(20 * 10, 3), 20, 10};
    return VLQA_OK;
}

void vlqa_free_pixels(struct vlqa_pixels *pixels)
{
    free(pixels->rgb);
    pixels->rgb = NULL;
}

vlqa_status vlqa_cache_read_stats(const struct vlqa_engine *engine, struct vlqa_cache_stats *out,
                                  size_t bytes)
{
    (void)engine, (void)bytes;
    memset(out, 0, sizeof *out);
    out->rejected = (uint64_t)script_number("rejected");
    out->write_failures = (uint64_t)script_number("unwritten");
    script("problem", out->disk_problem, sizeof out->disk_problem);
    return VLQA_OK;
}

vlqa_status vlqa_cache_flush(const struct vlqa_engine *engine)
{
    char message[256];
    (void)engine;
    return script_status("flush", message);
}

static vlqa_status cache_status(const struct vlqa_cache_options *o, const char *key)
{
    char message[256];
    vlqa_status status = script_status(key, message);
    if (status != VLQA_OK) o->log(o->user, VLQA_LOG_ERROR, message);
    return status;
}

vlqa_status vlqa_cache_scan(const struct vlqa_cache_options *options, vlqa_record_fn fn)
{
    int n = script_number("records"), damaged = script_number("damaged");
    note_call("scan %s verify=%d", options->dir, options->verify);
    for (int i = 0; i < n; i++) {
        char key[65];
        struct vlqa_record r = {.key = key,
                                .kind = i ? VLQA_RECORD_VISUAL : VLQA_RECORD_CHUNK,
                                .tokens = 70,
                                .grid_h = i ? 7 : 0,
                                .grid_w = i ? 10 : 0,
                                .bytes = 2048,
                                .mtime = time(NULL) - 7200,
                                .intact = i >= damaged,
                                .problem = i >= damaged ? "" : "is a fake"};
        snprintf(key, sizeof key, "%064d", i);
        if (fn(options->user, &r)) break;
    }
    return cache_status(options, "scan");
}

vlqa_status vlqa_cache_remove(const struct vlqa_cache_options *options, const char *key,
                              int *removed)
{
    note_call("remove %s %s", options->dir, key ? key : "all");
    *removed = script_number("records");
    return cache_status(options, "remove");
}
