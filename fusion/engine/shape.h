/* shape.h - the sizes of the released models by name, for timing with random weights. */
#ifndef FUSION_SHAPE_H
#define FUSION_SHAPE_H

#include "text/decoder.h"
#include "vision/vit.h"

/* "2b", "4b", "8b", "32b", "default"; VLQA_EUSAGE lists them for another name. */
vlqa_status shape_named(struct env *env, const char *name, struct decoder_config *text,
                        struct vit_config *vision);

#endif
