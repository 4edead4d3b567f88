/* model.h - what a model directory says about itself, before any weight is touched. */
#ifndef FUSION_MODEL_H
#define FUSION_MODEL_H

#include "base/hash.h"
#include "fusion/engine/quant_config.h"
#include "text/decoder.h"
#include "vision/vit.h"

#define MODEL_MAX_EOS 48

struct model_ids { /* as config.json has them; -1: not said */
    int32_t image, vision_start, vision_end;
    int32_t eos[MODEL_MAX_EOS]; /* filled by ends_read */
    int n_eos;
    enum quant_kind quant;
};

/* config.json, the processor's configuration and generation_config.json of dir, each feeding the
 * digest. Families and quantisations that are not read are refused by name. */
vlqa_status model_read(struct env *env, const char *dir, struct decoder_config *text,
                       struct vit_config *vision, struct model_ids *ids, struct hash *digest);
/* Text and vision fit each other. */
vlqa_status model_check(struct env *env, const struct decoder_config *text,
                        const struct vit_config *vision);

#endif
