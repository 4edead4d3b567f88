/* fuzz_record.c - any bytes as a record file, and good files with changes behind good checksums,
 * which chance would never make; every byte of every matrix that is accepted is read. */
#include "fusion/store/store_file.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { AT_N_MATS = 28, AT_TABLE_SUM = 48, AT_SUM = 56, AT_KEY = 64, AT_TABLE = 96, ROW = 32 };
enum { MAX_MATS = 8, SHAPE = 4 + MAX_MATS, MAX_FILE = STORE_FILE_MAX_HEAD + MAX_MATS * 512 };

static void try_file(const uint8_t *data, size_t bytes)
{
    static struct host_mat mat[RECORD_MAX_MATS];
    static uint8_t piece[1 << 16];
    static int fd = -1;
    struct store_file file;
    struct record r;
    uint8_t *payload;
    size_t total = 0, at = 0, size;
    if (store_file_header(data, bytes, bytes, &r) != STORE_FILE_GOOD) return;
    assert(r.rows > 0 && r.n_mats > 0 && r.n_mats <= RECORD_MAX_MATS);
    if (fd < 0) fd = memfd_create("record", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes) return;
    if (store_file_take(dup(fd), &file, &r) != STORE_FILE_GOOD) abort();
    size = store_file_payload_bytes(&file);
    payload = size <= sizeof piece ? piece : malloc(size);
    r.mat = mat;
    if (payload) {
        store_file_mats(&file, &r, payload);
        (void)store_file_read(&file, &r);
        (void)store_file_verify(&file, &r);
    }
    for (int i = 0; payload && i < r.n_mats; i++) {
        const uint8_t *begin = mat[i].data;
        size_t n;
        assert(begin == payload + at);
        assert(record_step(&at, mat[i].rows, mat[i].cols, mat[i].dtype, &n));
        assert(at <= size && size <= bytes);
        for (size_t b = 0; b < n; b++)
            total += begin[b];
    }
    assert(total <= 255 * bytes && (!payload || at == store_file_payload(&r)));
    if (payload != piece) free(payload);
    store_file_close(&file);
}

/* A valid file whose shape is in data; returns its bytes. */
static size_t make_file(const uint8_t data[SHAPE], uint8_t file[MAX_FILE])
{
    static uint8_t payload[MAX_MATS * 512] __attribute__((aligned(64)));
    enum dtype dtype = (enum dtype)(data[0] % (DT_ROW_INT4 + 1));
    struct host_mat mat[MAX_MATS];
    struct record r = {.kind = data[1] % 2 ? RECORD_CHUNK : RECORD_VISUAL,
                       .rows = 1 + data[2] % 8,
                       .n_mats = 1 + data[3] % MAX_MATS,
                       .mat = mat};
    size_t at = 0, size, head;
    for (int i = 0; i < r.n_mats; i++) {
        int cols = 1 + data[4 + i] % 16;
        mat[i] = host_mat_of(payload + at, dtype, r.rows, cols);
        (void)record_step(&at, r.rows, cols, dtype, &size);
    }
    head = store_file_head(&r, file);
    memcpy(file + head, payload, at);
    return head + at;
}

static void put_sum(uint8_t *at, const uint8_t *from, size_t bytes)
{
    uint64_t sum = checksum64(from, bytes);
    memcpy(at, &sum, sizeof sum);
}

/* The rest of data are changes: two bytes say where, one what; then the sums are made right. */
static void try_changed(const uint8_t *data, size_t bytes)
{
    uint8_t made[MAX_FILE], *file;
    size_t n = make_file(data, made);
    uint32_t n_mats;
    for (size_t i = SHAPE; i + 3 <= bytes; i += 3)
        made[(size_t)(data[i] | data[i + 1] << 8) % n] ^= data[i + 2];
    memcpy(&n_mats, made + AT_N_MATS, sizeof n_mats);
    if (n_mats <= (n - AT_TABLE) / ROW)
        put_sum(made + AT_TABLE_SUM, made + AT_KEY, AT_TABLE - AT_KEY + n_mats * ROW);
    put_sum(made + AT_SUM, made, AT_SUM);
    file = malloc(n); /* of that size: the sanitizer sees reads behind it */
    if (!file) return;
    memcpy(file, made, n);
    try_file(file, n);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    try_file(data, bytes);
    if (bytes >= SHAPE) try_changed(data, bytes);
    return 0;
}
