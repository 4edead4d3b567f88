/* make_safetensors.h - a safetensors file from its header as text. */
#ifndef TESTS_BASE_MAKE_SAFETENSORS_H
#define TESTS_BASE_MAKE_SAFETENSORS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One tensor in a header. */
#define E(name, dtype, shape, begin, end)                                                        \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end \
    "]}"

struct bytes {
    uint8_t *data;
    size_t n;
};

/* A file in a block of exactly its size: the length, the header, zeros. */
static inline struct bytes file_of(const char *header, size_t data_bytes)
{
    size_t n = strlen(header);
    struct bytes f = {malloc(8 + n + data_bytes), 8 + n + data_bytes};
    uint64_t length = n;
    if (!f.data) exit(1);
    memcpy(f.data, &length, 8);
    memcpy(f.data + 8, header, n);
    memset(f.data + 8 + n, 0, data_bytes);
    return f;
}

#endif
