/* quant_config.h - what config.json says about quantised weights. */
#ifndef FUSION_QUANT_CONFIG_H
#define FUSION_QUANT_CONFIG_H

#include "base/json.h"

/* *bits is the least number of bits of a group of weights, 4 or 8, or 0 where weights are floats.
 * Read are compressed-tensors' pack-quantized and int-quantized, of weights alone: int8 with a
 * scale a row, and int4 with a scale for 32 columns or a multiple of them. VLQA_EMODEL: all others,
 * with what was found and what is read. */
vlqa_status quant_config_read(struct env *env, const struct json_doc *doc, int *bits);

#endif
