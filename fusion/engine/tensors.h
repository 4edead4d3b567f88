/* tensors.h - the weights of an engine: read once, and looked at again when a result is no number.
 */
#ifndef FUSION_TENSORS_H
#define FUSION_TENSORS_H

#include "base/safetensors.h"
#include "kernels/device.h"

struct vlqa_engine;
struct decoder_config;
struct vit_config;

/* Names of the layouts in the wild, by their first parts. */
extern const struct st_rename engine_rename[];
extern const int engine_n_rename;

/* VLQA_EMODEL for files that are no plain checkpoint, told by the names of their tensors: adapters
 * that are not merged, and quantised ones that config.json does
 * not speak of (packed: it does), with what to do. */
vlqa_status engine_check_keys(struct env *env, const struct st_files *files, int packed);
/* Every tensor that the model needs is there in its shape, and no other one; nothing is read. */
vlqa_status engine_check_tensors(struct env *env, struct device *device, struct st_files *files,
                                 const struct decoder_config *text,
                                 const struct vit_config *vision);
/* Reads e->files into e->weights, e->vit and e->decoder. Every tensor is used, and none is missing.
 */
vlqa_status engine_load_weights(struct vlqa_engine *e, struct decoder_config *text,
                                struct vit_config *vision);
/* VLQA_OK: the logits are finite. Else VLQA_EMODEL: all weights are scanned, and the message names
 * the first tensor that is not finite, or says that none is to blame. */
vlqa_status engine_check_logits(struct env *env, const struct vlqa_engine *e, struct queue *q,
                                const float *logits, int n);

#endif
