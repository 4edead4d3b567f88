/* device_memory.h - what tests read of device memory, and how they write it. */
#ifndef TESTS_DEVICE_MEMORY_H
#define TESTS_DEVICE_MEMORY_H

#include "kernels/device.h"
#include "tests/check.h"

/* One element, brought to the host. */
static inline float device_get(struct queue *q, struct mat m, int row, int col)
{
    float room;
    struct host_mat one = host_mat_of(&room, m.dtype, 1, 1);
    if (queue_read(q, &room, mat_cols(mat_rows(m, row, 1), col, 1)) != VLQA_OK) return NAN;
    return host_mat_get(one, 0, 0);
}

/* All of it as floats, row by row; out has room for them. */
static inline void device_floats(struct queue *q, struct mat m, float *out)
{
    size_t bytes = mat_bytes(m.dtype, m.rows, m.cols);
    struct host_mat copy = host_mat_of((char *)out, m.dtype, m.rows, m.cols);
    CHECK_EQ(queue_read(q, out, m), VLQA_OK);
    if (m.dtype == DT_F32 || !bytes) return;
    for (int i = m.rows * m.cols - 1; i >= 0; i--) /* from the end on: floats are wider */
        out[i] = host_mat_get(copy, i / m.cols, i % m.cols);
}

static inline void device_write(struct queue *q, struct mat m, const void *from)
{
    size_t row = mat_bytes(m.dtype, 1, m.cols);
    for (int r = 0; r < m.rows; r++)
        queue_upload(q, mat_at(m, r, 0), (const char *)from + (size_t)r * row, row);
}

/* Both hold the same bits. */
static inline int device_same(struct queue *q, struct mat a, const void *b)
{
    char room[4096];
    size_t row = mat_bytes(a.dtype, 1, a.cols);
    for (int r = 0; r < a.rows; r++) {
        if (row > sizeof room || queue_read(q, room, mat_rows(a, r, 1)) != VLQA_OK) return 0;
        if (memcmp(room, (const char *)b + (size_t)r * row, row) != 0) return 0;
    }
    return 1;
}

#endif
