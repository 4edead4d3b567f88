/* file.h - map a file, read a file, write a file atomically. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/env.h"

struct file_map {        /* read-only; the descriptor stays open so that changes can be noticed */
    const uint8_t *data; /* NULL: opened and not mapped */
    size_t size;
    int fd, is_open;
    uint64_t mtime_ns; /* modulo 2^64 */
    uint64_t inode, device;
};

/* Regular files only (a FIFO, device or directory is refused by kind, without blocking). */
vlqa_status file_map_open(struct env *env, const char *path, struct file_map *out);
/* The same without the map, which kills a process that reads behind the end of a file that was
 * cut: what file_read_at brings is the caller's. */
vlqa_status file_open(struct env *env, const char *path, struct file_map *out);
/* Copies bytes from an offset on; any threads at once. VLQA_EIO when the file has fewer now. */
vlqa_status file_read_at(struct env *env, const char *path, const struct file_map *map,
                         size_t offset, void *dst, size_t bytes);
void file_map_close(struct file_map *map); /* a zeroed map is fine */
/* VLQA_EIO when the file was truncated or written to since it was mapped, or another one has its
 * name now. */
vlqa_status file_map_check(struct env *env, const char *path, const struct file_map *map);
/* Reads a regular file, or standard input for "-", of at most max_bytes into a heap block (one NUL
 * behind it, not counted). */
vlqa_status file_read(struct env *env, const char *path, size_t max_bytes, void **data,
                      size_t *bytes);
/* Nonzero: path is a FIFO, such as /dev/stdin in a pipe and /dev/fd/N of a shell's <(...). */
int file_is_fifo(const char *path);
/* Reads what is written to a FIFO, until its writers have closed it, into a heap block as file_read
 * does. While nobody writes it waits, as cat does; after FILE_FIFO_PATIENCE ms it logs a warning
 * that says so, once. */
vlqa_status file_read_fifo(struct env *env, const char *path, size_t max_bytes, void **data,
                           size_t *bytes);
#define FILE_FIFO_PATIENCE 2000
int file_exists(const char *path);

struct file_part {
    const void *data;
    size_t bytes;
};
/* Writes one part behind the other. Returns an errno, 0: all is written. */
int file_write_parts(int fd, const struct file_part *part, int n_parts);
/* Temporary name in the same directory, written, synced, renamed: either the old file or the whole
 * new one is there, whatever happens. */
vlqa_status file_write_atomic(struct env *env, const char *path, const struct file_part *part,
                              int n_parts);

#endif
