/* store_file.c - the bytes of a record file, written once and checked whenever they are read,
 * in memory that nobody else can change.
 *
 * All numbers are little-endian. Every version keeps magic, version and header checksum in place.
 *
 *   at      bytes
 *   0       8   magic "vlqa-rec"
 *   8       4   version, 1
 *   12      4   kind: 1 visual, 2 chunk
 *   16      4   rows
 *   20      4   grid h
 *   24      4   grid w
 *   28      4   n_mats, 1..512
 *   32      4   dtype: 0 F32, 1 BF16, 2 F16, 3 I8: rows of codes and then their scales, F32
 *   36      4   zero
 *   40      8   payload bytes: from the first section to the end of the file
 *   48      8   XXH3 of key and table
 *   56      8   XXH3 of bytes 0..55
 *   64      32  key
 *   96      32 * n_mats  table: cols, offset in the file, bytes, XXH3 of the section; 8 bytes each
 *   ...     sections [rows, cols], each at the next multiple of 64; zeros between them
 */
#include "fusion/store/store_file.h"

#include "base/arena.h"
#include "base/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_VERSION = 8, AT_KIND = 12, AT_ROWS = 16, AT_GRID = 20, AT_N_MATS = 28, AT_DTYPE = 32 };
enum { AT_ZERO = 36, AT_PAYLOAD = 40, AT_TABLE_SUM = 48, AT_SUM = 56, AT_KEY = 64, AT_TABLE = 96 };
enum { ROW_COLS = 0, ROW_OFFSET = 8, ROW_BYTES = 16, ROW_SUM = 24, ROW_SIZE = 32 };

#define BLOCK_BYTES ((size_t)256 << 10) /* is read at once */

static const char magic[] = "vlqa-rec";

_Static_assert(DT_F32 == 0 && DT_BF16 == 1 && DT_F16 == 2 && DT_ROW_INT8 == 3 && DT_ROW_INT4 == 4,
               "files have these numbers");
_Static_assert(RECORD_VISUAL == 1 && RECORD_CHUNK == 2, "files have these numbers");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "sections are used as they lie");

static void put(uint8_t *at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static size_t table_bytes(int n_mats)
{
    return (size_t)n_mats * ROW_SIZE;
}

/* Key and table, up to the first section. */
static size_t head_bytes(int n_mats)
{
    return (AT_TABLE + table_bytes(n_mats) + 63) & ~(size_t)63;
}

size_t store_file_payload(const struct record *record)
{
    size_t at = 0, bytes;
    for (int i = 0; i < record->n_mats; i++) { /* they are in memory: their sizes fit */
        struct host_mat m = record->mat[i];
        (void)record_step(&at, m.rows, m.cols, m.dtype, &bytes);
    }
    return at;
}

uint64_t store_file_bytes(const struct record *record)
{
    return head_bytes(record->n_mats) + store_file_payload(record);
}

size_t store_file_head(const struct record *r, uint8_t head[STORE_FILE_MAX_HEAD])
{
    size_t total = head_bytes(r->n_mats), at = total, bytes = 0;
    assert(r->n_mats > 0 && r->n_mats <= RECORD_MAX_MATS);
    memset(head, 0, total);
    memcpy(head, magic, 8);
    put(head + AT_VERSION, 4, STORE_FILE_VERSION);
    put(head + AT_KIND, 4, r->kind);
    put(head + AT_ROWS, 4, (uint32_t)r->rows);
    put(head + AT_GRID, 4, (uint32_t)r->grid.h);
    put(head + AT_GRID + 4, 4, (uint32_t)r->grid.w);
    put(head + AT_N_MATS, 4, (uint32_t)r->n_mats);
    put(head + AT_DTYPE, 4, r->mat[0].dtype);
    put(head + AT_PAYLOAD, 8, store_file_payload(r));
    memcpy(head + AT_KEY, r->key.b, sizeof r->key.b);
    for (int i = 0; i < r->n_mats; i++) {
        uint8_t *row = head + AT_TABLE + table_bytes(i);
        struct host_mat m = r->mat[i];
        put(row + ROW_COLS, 8, (uint32_t)m.cols);
        put(row + ROW_OFFSET, 8, at);
        (void)record_step(&at, m.rows, m.cols, m.dtype, &bytes);
        put(row + ROW_BYTES, 8, bytes);
        put(row + ROW_SUM, 8, checksum64(m.data, bytes));
    }
    put(head + AT_TABLE_SUM, 8,
        checksum64(head + AT_KEY, AT_TABLE - AT_KEY + table_bytes(r->n_mats)));
    put(head + AT_SUM, 8, checksum64(head, AT_SUM));
    return total;
}

/* A 32-bit number of the header that is an int between min and max. */
static int get_int(const uint8_t *at, uint32_t min, uint32_t max, int *out)
{
    uint64_t value = get(at, 4);
    *out = (int)value;
    return value >= min && value <= max;
}

/* Sections lie where a writer puts them, and the file ends behind the last. */
static int table_fits(const uint8_t *head, uint64_t file_bytes, const struct record *r,
                      enum dtype dtype)
{
    size_t at = head_bytes(r->n_mats), end, bytes;
    if (!size_add(&end, at, get(head + AT_PAYLOAD, 8)) || end != file_bytes) return 0;
    for (int i = 0; i < r->n_mats; i++) {
        const uint8_t *row = head + AT_TABLE + table_bytes(i);
        uint64_t cols = get(row + ROW_COLS, 8), offset = at;
        if (cols < 1 || cols > INT32_MAX) return 0;
        if (!record_step(&at, r->rows, (int)cols, dtype, &bytes)) return 0;
        if (get(row + ROW_OFFSET, 8) != offset || get(row + ROW_BYTES, 8) != bytes) return 0;
    }
    return at == file_bytes;
}

enum store_file_state store_file_header(const uint8_t *f, size_t n, uint64_t file_bytes,
                                        struct record *out)
{
    int kind, dtype, zero;
    *out = (struct record){.bytes = 0};
    if (n < AT_TABLE || memcmp(f, magic, 8) != 0) return STORE_FILE_DAMAGED;
    if (get(f + AT_SUM, 8) != checksum64(f, AT_SUM)) return STORE_FILE_DAMAGED;
    if (get(f + AT_VERSION, 4) != STORE_FILE_VERSION) return STORE_FILE_FOREIGN;
    if (!get_int(f + AT_KIND, RECORD_VISUAL, RECORD_CHUNK, &kind) ||
        !get_int(f + AT_ROWS, 1, INT32_MAX, &out->rows) ||
        !get_int(f + AT_GRID, 0, INT32_MAX, &out->grid.h) ||
        !get_int(f + AT_GRID + 4, 0, INT32_MAX, &out->grid.w) ||
        !get_int(f + AT_N_MATS, 1, RECORD_MAX_MATS, &out->n_mats) ||
        !get_int(f + AT_DTYPE, DT_F32, DT_ROW_INT4, &dtype) || !get_int(f + AT_ZERO, 0, 0, &zero))
        return STORE_FILE_DAMAGED;
    if (n < head_bytes(out->n_mats) ||
        get(f + AT_TABLE_SUM, 8) !=
            checksum64(f + AT_KEY, AT_TABLE - AT_KEY + table_bytes(out->n_mats)) ||
        !table_fits(f, file_bytes, out, (enum dtype)dtype))
        return STORE_FILE_DAMAGED;
    out->kind = (enum record_kind)kind;
    memcpy(out->key.b, f + AT_KEY, sizeof out->key.b);
    return STORE_FILE_GOOD;
}

/* ---- reading ---- */

/* Bytes that were read, fewer at the end of the file; -1: an error. */
static ssize_t read_at(int fd, uint8_t *to, size_t bytes, uint64_t offset)
{
    size_t used = 0;
    while (used < bytes) {
        ssize_t got = pread(fd, to + used, bytes - used, (off_t)(offset + used));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static enum store_file_state read_head(struct store_file *file, uint64_t file_bytes,
                                       struct record *header)
{
    size_t most = file_bytes < STORE_FILE_MAX_HEAD ? (size_t)file_bytes : STORE_FILE_MAX_HEAD;
    ssize_t got;
    file->head = heap_alloc(STORE_FILE_MAX_HEAD);
    if (!file->head) return STORE_FILE_FAILED;
    got = read_at(file->fd, file->head, most, 0);
    if (got < 0) return STORE_FILE_FAILED;
    return store_file_header(file->head, (size_t)got, file_bytes, header);
}

static int may_read(const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) return 0;
    return st->st_uid == geteuid() || (st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH)));
}

enum store_file_state store_file_take(int fd, struct store_file *file, struct record *header)
{
    struct stat st;
    enum store_file_state state = STORE_FILE_NONE;
    *file = (struct store_file){fd, NULL};
    if (fstat(fd, &st) == 0 && may_read(&st)) state = read_head(file, (uint64_t)st.st_size, header);
    if (state != STORE_FILE_GOOD) store_file_close(file);
    return state;
}

enum store_file_state store_file_open(const char *path, struct store_file *file,
                                      struct record *header)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    *file = (struct store_file){-1, NULL};
    if (fd >= 0) return store_file_take(fd, file, header);
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? STORE_FILE_FAILED
                                                                 : STORE_FILE_NONE;
}

void store_file_close(struct store_file *file)
{
    if (file->fd >= 0) close(file->fd);
    heap_free(file->head);
    *file = (struct store_file){-1, NULL};
}

size_t store_file_payload_bytes(const struct store_file *file)
{
    return get(file->head + AT_PAYLOAD, 8);
}

void store_file_mats(const struct store_file *file, struct record *record, void *payload)
{
    enum dtype dtype = (enum dtype)get(file->head + AT_DTYPE, 4);
    size_t head = head_bytes(record->n_mats);
    for (int i = 0; i < record->n_mats; i++) {
        const uint8_t *row = file->head + AT_TABLE + table_bytes(i);
        uint8_t *data = (uint8_t *)payload + (get(row + ROW_OFFSET, 8) - head);
        record->mat[i] = host_mat_of(data, dtype, record->rows, (int)get(row + ROW_COLS, 8));
    }
}

/* A section to `to`, or with keep 0 each block over the one before; its checksum is computed while
 * a block is in the processor's cache. */
static enum store_file_state read_section(const struct store_file *file, int i, uint8_t *to,
                                          int keep)
{
    const uint8_t *row = file->head + AT_TABLE + table_bytes(i);
    uint64_t offset = get(row + ROW_OFFSET, 8), bytes = get(row + ROW_BYTES, 8);
    struct checksum sum;
    checksum_begin(&sum);
    for (uint64_t at = 0; at < bytes; at += BLOCK_BYTES) {
        size_t n = bytes - at < BLOCK_BYTES ? (size_t)(bytes - at) : BLOCK_BYTES;
        uint8_t *block = keep ? to + at : to;
        ssize_t got = read_at(file->fd, block, n, offset + at);
        if (got < 0) return STORE_FILE_FAILED;
        if ((size_t)got < n) return STORE_FILE_DAMAGED;
        checksum_bytes(&sum, block, n);
    }
    return checksum_end(&sum) == get(row + ROW_SUM, 8) ? STORE_FILE_GOOD : STORE_FILE_DAMAGED;
}

enum store_file_state store_file_read(const struct store_file *file, struct record *record)
{
    enum store_file_state state = STORE_FILE_GOOD;
    for (int i = 0; i < record->n_mats && state == STORE_FILE_GOOD; i++)
        state = read_section(file, i, record->mat[i].data, 1);
    return state;
}

enum store_file_state store_file_verify(const struct store_file *file, const struct record *header)
{
    enum store_file_state state = STORE_FILE_GOOD;
    uint8_t *block = heap_alloc(BLOCK_BYTES);
    if (!block) return STORE_FILE_FAILED;
    for (int i = 0; i < header->n_mats && state == STORE_FILE_GOOD; i++)
        state = read_section(file, i, block, 0);
    heap_free(block);
    return state;
}
