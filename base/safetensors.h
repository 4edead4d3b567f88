/* safetensors.h - a model directory as named, checked, mapped tensors.
 *
 * Every rule of the format is checked at open (Trail of Bits' list): header length, first byte,
 * duplicate names, ranges that are relative and cover the buffer exactly, without gap or overlap,
 * and dtype x shape = range. Data is not read, so NaN and infinity are what they are. A file that
 * is cut while it is mapped still kills the process that reads behind its end: see st_unchanged. */
#ifndef BASE_SAFETENSORS_H
#define BASE_SAFETENSORS_H

#include "base/dtype.h"
#include "base/env.h"
#include "base/hash.h"

#define ST_MAX_RANK 8

struct st_files;

struct st_tensor {
    const char *name; /* canonical, after renaming */
    enum dtype dtype;
    int rank;
    int64_t dim[ST_MAX_RANK];
    const void *data; /* mapped, and possibly misaligned */
    size_t bytes;
};

/* Names that begin with `from` are known as `to` + rest. The first row that fits is taken. */
struct st_rename {
    const char *from, *to;
};

/* model.safetensors or else, as in transformers, the shards of model.safetensors.index.json. */
vlqa_status st_open(struct env *env, const char *dir, const struct st_rename *rename, int n_rename,
                    struct st_files **out);
/* A single file, by path: goldens and tests. */
vlqa_status st_open_file(struct env *env, const char *path, struct st_files **out);
/* For tests and fuzzing: the bytes of a file, borrowed until st_close; name is for messages. */
vlqa_status st_open_memory(struct env *env, const char *name, const void *data, size_t bytes,
                           struct st_files **out);
/* No files: each tensor that is wanted is made, bf16: matrices uniform around 0 with the deviation
 * that keeps activations in range, vectors zeros if they are biases and else ones. The same seed
 * and name give the same contents. st_has is true of every name; st_find knows what was wanted. */
vlqa_status st_open_random(struct env *env, uint64_t seed, struct st_files **out);
void st_close(struct st_files *files); /* NULL is fine */

int st_has(const struct st_files *files, const char *name);
/* The tensor of exactly this shape, marked as used. Errors: missing, other rank or shape
 * ("FILE: NAME is [c, d], expected [a, b]"), a dtype that is not F32, F16 or BF16 (by name). */
vlqa_status st_want(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, const struct st_tensor **out);
/* The tensor as it is, not marked; NULL: not there or of another dtype. */
const struct st_tensor *st_find(const struct st_files *files, const char *name);
int st_count(const struct st_files *files);
/* Sorted by name. data is NULL, and dtype says nothing, where the dtype is not F32, F16 or BF16. */
const struct st_tensor *st_at(const struct st_files *files, int i);
/* VLQA_EMODEL naming the first tensor that nobody asked for, and how many there are. */
vlqa_status st_all_used(struct env *env, const struct st_files *files);
/* VLQA_EIO when a mapped file was changed in place. */
vlqa_status st_unchanged(struct env *env, const struct st_files *files);
size_t st_bytes(const struct st_files *files); /* of all tensors */
/* Feeds names, dtypes, shapes and contents. Contents of models beyond 256 MiB are sampled: 16 pages
 * of 4 KiB of each tensor, spread evenly, first and last among them. */
void st_digest(const struct st_files *files, struct hash *hash);

#endif
