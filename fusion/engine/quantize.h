/* quantize.h - the files of a directory with quantised weights. */
#ifndef FUSION_QUANTIZE_H
#define FUSION_QUANTIZE_H

#include "base/new_dir.h"
#include "base/safetensors.h"

enum { QUANTIZE_INT8 = 8, QUANTIZE_INT4 = 4 }; /* bits */

/* Writes the tensors, with the decoder's matrices in so many bits and all others as they are, to
 * safetensors files of at most shard_bytes. VLQA_EMODEL: a value is not finite, or a row does not
 * come in whole groups. */
vlqa_status quantize_tensors(struct env *env, struct st_files *files, int bits, size_t shard_bytes,
                             const struct new_dir *to);
/* Copies tokenizer, templates and configurations; config.json says what the tensors are in. */
vlqa_status quantize_files(struct env *env, const char *dir, int bits, const struct new_dir *to);

#endif
