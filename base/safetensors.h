/* safetensors.h - a model directory as named, checked, mapped tensors.
 *
 * Every rule of the format is checked at open (Trail of Bits' list): header length, first byte,
 * duplicate names, ranges that are relative, contiguous, in order, without gap or overlap, covering
 * the buffer exactly, and dtype x shape = range. Data is not read. */
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
    const void *data; /* mapped: not necessarily aligned to more than the dtype's size */
    size_t bytes;
};

/* Names that begin with `from` are known as `to` + rest. The first row that fits is taken. */
struct st_rename {
    const char *from, *to;
};

/* model.safetensors, or the shards that model.safetensors.index.json lists. */
vlqa_status st_open(struct env *env, const char *dir, const struct st_rename *rename, int n_rename,
                    struct st_files **out);
/* A single file, by path: goldens and tests. */
vlqa_status st_open_file(struct env *env, const char *path, struct st_files **out);
/* No files: each tensor that is wanted is made, bf16, uniform around 0 with the deviation that
 * keeps activations in range; names that end in "norm.weight" and the like are ones. For timing. */
vlqa_status st_open_random(struct env *env, uint64_t seed, struct st_files **out);
void st_close(struct st_files *files); /* NULL is fine */

int st_has(const struct st_files *files, const char *name); /* of random files: always */
/* Marks a tensor as used where it is there: for copies that nobody needs. */
void st_ignore(struct st_files *files, const char *name);
/* The tensor of exactly this shape, marked as used. Asking for one twice is a mistake of ours,
 * except for tied weights, which the caller asks for once. Errors: missing, other rank or shape
 * ("NAME is [a, b], found [c, d]"), a dtype that is not F32, F16 or BF16 (by name). */
vlqa_status st_want(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, const struct st_tensor **out);
/* The tensor as it is, not marked; NULL: not there or of another dtype. */
const struct st_tensor *st_find(const struct st_files *files, const char *name);
int st_count(const struct st_files *files);
const struct st_tensor *st_at(const struct st_files *files, int i); /* sorted by name */
/* VLQA_EMODEL naming the first tensor that nobody asked for, and how many there are. */
vlqa_status st_all_used(struct env *env, const struct st_files *files);
/* VLQA_EIO when a mapped file was changed in place. */
vlqa_status st_unchanged(struct env *env, const struct st_files *files);
size_t st_bytes(const struct st_files *files); /* of all tensors */
/* Feeds names, dtypes, shapes and contents. Contents of models beyond 256 MiB are sampled: 16 pages
 * of 4 KiB of each tensor, spread evenly, first and last among them. */
void st_digest(const struct st_files *files, struct hash *hash);

#endif
