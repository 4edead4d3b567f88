/* safetensors.h - a model directory as named and checked tensors.
 *
 * Every rule of the format is checked at open (Trail of Bits' list): header length, first byte,
 * duplicate names, ranges that are relative and cover the buffer exactly, without gap or overlap,
 * and dtype x shape = range. Data is not looked at, so NaN and infinity are what they are. Files of
 * a directory are read and never mapped: one that is cut or overwritten is an error, not a signal.
 */
#ifndef BASE_SAFETENSORS_H
#define BASE_SAFETENSORS_H

#include "base/dtype.h"
#include "base/env.h"
#include "base/hash.h"

#define ST_MAX_RANK 8

struct st_files;

struct st_tensor {
    const char *name; /* canonical, after renaming */
    const char *key;  /* as it stands in the file: for messages */
    enum dtype dtype;
    int rank;
    int64_t dim[ST_MAX_RANK];
    const void *data; /* in memory, possibly misaligned; NULL: in a file, see st_read */
    size_t bytes;
};

/* Names that begin with `from` are known as `to` + rest. The first row that fits is taken; one
 * whose `to` is NULL is a wrapper: it is taken off and the rest looked up again. */
struct st_rename {
    const char *from, *to;
};

/* The shards of model.safetensors.index.json; where the index is not there or names files that are
 * not there, model.safetensors; or else shards without an index, "NAME-00001-of-00002.safetensors",
 * all of them. A model.safetensors beside a complete index is passed over, with a log line.
 * `rename` is kept until st_close. */
vlqa_status st_open(struct env *env, const char *dir, const struct st_rename *rename, int n_rename,
                    struct st_files **out);
/* A single file, by path, mapped: goldens and tests. */
vlqa_status st_open_file(struct env *env, const char *path, struct st_files **out);
/* For tests and fuzzing: the bytes of a file, borrowed until st_close; name is for messages. */
vlqa_status st_open_memory(struct env *env, const char *name, const void *data, size_t bytes,
                           struct st_files **out);
/* No files: each tensor that is wanted is made, bf16: matrices uniform around 0 with the deviation
 * that keeps activations in range, vectors zeros if they are biases and else ones. The same seed
 * and name give the same contents. st_has is true of every name; st_find knows what was wanted. */
vlqa_status st_open_random(struct env *env, uint64_t seed, struct st_files **out);
/* Nonzero where t is a matrix that is made. Then four elements from 4 i on are the four int16_t,
 * lowest first, of the number i of splitmix64 by this seed, times scale, rounded to bf16. */
int st_random_matrix(const struct st_files *files, const struct st_tensor *t, uint64_t *seed,
                     float *scale);
void st_close(struct st_files *files); /* NULL is fine */

int st_has(const struct st_files *files, const char *name);
/* Marks a tensor as used where it is there: for copies that nobody needs. */
void st_ignore(struct st_files *files, const char *name);
/* The tensor of exactly this shape, marked as used. Errors, by the key of the file: missing (and
 * the most similar one that is not marked), other rank or shape ("FILE: KEY is [c, d], expected [a,
 * b]"), a dtype that is not F32, F16 or BF16 (by name). */
vlqa_status st_want(struct env *env, struct st_files *files, const char *name, int rank,
                    const int64_t *dim, const struct st_tensor **out);
/* The same, of a dtype that is named as the format names it (NULL: any). st_tensor.dtype says
 * nothing unless that is F32, F16 or BF16. */
vlqa_status st_want_as(struct env *env, struct st_files *files, const char *name, const char *dtype,
                       int rank, const int64_t *dim, const struct st_tensor **out);
/* The tensor as it is, not marked, of any dtype, and its name; NULL: not there. */
const struct st_tensor *st_peek(const struct st_files *files, const char *name, const char **dtype);
/* The tensor as it is, not marked; NULL: not there or of another dtype. */
const struct st_tensor *st_find(const struct st_files *files, const char *name);
int st_count(const struct st_files *files);
/* Copies bytes of a tensor, from an offset on; any threads at once. VLQA_EIO when its file is
 * shorter now. */
vlqa_status st_read(struct env *env, const struct st_files *files, const struct st_tensor *t,
                    size_t begin, void *dst, size_t bytes);
/* The name of the file that a tensor is in, without directory. */
const char *st_file_of(const struct st_files *files, const struct st_tensor *t);
struct st_shape_text {
    char text[ST_MAX_RANK * 21 + 4];
};
struct st_shape_text st_shape(int rank, const int64_t *dim); /* "[4096, 11008]" */
/* Sorted by name. dtype says nothing where it is not F32, F16 or BF16. */
const struct st_tensor *st_at(const struct st_files *files, int i);
/* VLQA_EMODEL naming the first tensor that nobody asked for, and how many there are. */
vlqa_status st_all_used(struct env *env, const struct st_files *files);
/* VLQA_EIO when a file was changed since it was opened. */
vlqa_status st_unchanged(struct env *env, const struct st_files *files);
/* Closes the files: names, shapes and what is in memory stay. */
void st_let_go(struct st_files *files);
size_t st_bytes(const struct st_files *files); /* of all tensors */
/* Feeds names, dtypes, shapes and contents, each tensor hashed by itself, by all threads. Contents
 * of models beyond 256 MiB are sampled: 16 pages of 4 KiB of each tensor, spread evenly, first and
 * last among them. */
vlqa_status st_digest(struct env *env, const struct st_files *files, struct hash *hash);

#endif
