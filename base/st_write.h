/* st_write.h - a model directory's safetensors files, written tensor by tensor and in any order. */
#ifndef BASE_ST_WRITE_H
#define BASE_ST_WRITE_H

#include "base/new_dir.h"

struct st_writer;

/* Writes to files of a directory, which is borrowed until st_write_free: model.safetensors, or
 * where the tensors have more than shard_bytes together, shards of at most that (or of one tensor)
 * with an index. */
vlqa_status st_write_open(struct env *env, const struct new_dir *dir, size_t shard_bytes,
                          struct st_writer **out);
void st_write_free(struct st_writer *w); /* NULL is fine; closes what is open */
/* Before st_write_begin. *index is its number from here on; the texts are copied. dtype: as the
 * format calls it, of `size` bytes an element. */
vlqa_status st_write_add(struct env *env, struct st_writer *w, const char *key, const char *dtype,
                         size_t size, int rank, const int64_t *dim, int *index);
/* All tensors are known: creates the files, of their full size and with their headers, and the
 * index. */
vlqa_status st_write_begin(struct env *env, struct st_writer *w);
/* Bytes of a tensor, from an offset on. */
vlqa_status st_write_bytes(struct env *env, struct st_writer *w, int index, size_t begin,
                           const void *data, size_t bytes);
/* Everything was written: syncs and closes. */
vlqa_status st_write_end(struct env *env, struct st_writer *w);

#endif
