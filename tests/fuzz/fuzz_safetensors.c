/* fuzz_safetensors.c - any bytes as a file; every byte of every tensor it accepts is read. The
 * first eight bytes, the header's length, are made to fit most of the time: chance would never do
 * so. */
#include "base/heap.h"
#include "base/safetensors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_all(const struct st_files *files)
{
    struct env env = {0};
    struct hash hash;
    size_t total = 0;
    hash_begin(&hash, "fuzz");
    assert(st_digest(&env, files, &hash) == VLQA_OK);
    for (int i = 0; i < st_count(files); i++) {
        const struct st_tensor *t = st_at(files, i);
        total += t->bytes;
        assert(t->rank >= 0 && t->rank <= ST_MAX_RANK && st_has(files, t->name));
        assert(i == 0 || strcmp(st_at(files, i - 1)->name, t->name) < 0);
    }
    assert(total == st_bytes(files));
}

static void try_file(const uint8_t *file, size_t bytes)
{
    struct env env = {0};
    struct st_files *files;
    uint64_t live = heap_live();
    if (st_open_memory(&env, "fuzz", file, bytes, &files) == VLQA_OK) {
        read_all(files);
        st_close(files);
    } else {
        assert(env.message[0]);
    }
    assert(heap_live() == live);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *end = bytes > 8 ? memrchr(data + 8, '}', bytes - 8) : NULL;
    uint8_t *file;
    try_file(data, bytes);
    if (!end) return 0;
    file = malloc(bytes);
    if (!file) return 0;
    memcpy(file, data, bytes);
    memcpy(file, &(uint64_t){(uint64_t)(end - data) + 1 - 8}, 8);
    try_file(file, bytes);
    free(file);
    return 0;
}
