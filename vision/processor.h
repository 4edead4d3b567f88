/* processor.h - the image processor of a model directory: pixel limits, mean and deviation. */
#ifndef VISION_PROCESSOR_H
#define VISION_PROCESSOR_H

#include "vision/vit.h"

/* Reads the image_processor of processor_config.json, or else preprocessor_config.json, of dir into
 * the pixel limits and the patch's mean and std; what it says of patches must agree with c. A file
 * that is passed over and values that are missing are told by a log line. VLQA_EMODEL where neither
 * is there, or one asks for another computation. */
vlqa_status processor_read(struct env *env, const char *dir, struct vit_config *c);

#endif
