/* abi.h - structs of the public header go in and out by the size that the caller's header has. */
#ifndef FUSION_ENGINE_ABI_H
#define FUSION_ENGINE_ABI_H

#include "base/env.h"
#include "include/vlqa_experimental.h"

#include <stddef.h>

/* Bytes up to and with a field: what a struct had in its first version, which no caller is below.
 */
#define ABI_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* VLQA_EUSAGE when a caller's struct is smaller than the first version had it. */
vlqa_status abi_check(struct env *env, const char *name, size_t bytes, size_t least);
/* Copies a struct of the library's to a caller's of to_bytes: never more than these, and zeros
 * where the caller's header has fields that the library lacks. */
void abi_give(void *to, size_t to_bytes, const void *from, size_t from_bytes);
/* Copies a caller's options over the defaults in `to`: fields that an older header lacks keep their
 * default. Fields that a newer header has and the library lacks must be 0, as they are after the
 * init function: the rule of Linux' extensible system calls (copy_struct_from_user). Checks version
 * and struct_bytes, the first two fields of all options: a size below the first version's would end
 * anywhere, within a pointer, say. VLQA_EUSAGE. */
vlqa_status abi_take(struct env *env, const char *name, const void *from, void *to, size_t to_bytes,
                     size_t least);
#define ABI_MOST 2048 /* bytes of options; more is no size, and would be read to the end */

#define ENGINE_OPTIONS_LEAST ABI_UP_TO(struct vlqa_engine_options, cache_disk_bytes)
#define SESSION_OPTIONS_LEAST ABI_UP_TO(struct vlqa_session_options, user)
#define ASK_OPTIONS_LEAST ABI_UP_TO(struct vlqa_ask_options, experimental)
#define EXPERIMENTAL_LEAST ABI_UP_TO(struct vlqa_experimental, refresh_tokens)
#define CACHE_OPTIONS_LEAST ABI_UP_TO(struct vlqa_cache_options, user)
#define ANSWER_LEAST ABI_UP_TO(struct vlqa_answer, flops)
#define PLACED_IMAGE_LEAST ABI_UP_TO(struct vlqa_placed_image, source)
#define PLACED_CHUNK_LEAST ABI_UP_TO(struct vlqa_placed_chunk, source)
#define EVIDENCE_LEAST ABI_UP_TO(struct vlqa_evidence, score)
#define IMAGE_INFO_LEAST ABI_UP_TO(struct vlqa_image_info, ms_vision)
#define PIXELS_LEAST ABI_UP_TO(struct vlqa_pixels, height)
#define CACHE_STATS_LEAST ABI_UP_TO(struct vlqa_cache_stats, disk_problem)
#define MODEL_INFO_LEAST ABI_UP_TO(struct vlqa_model_info, session_bytes)

#endif
