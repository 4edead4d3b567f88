/* quant_config.h - what config.json says about quantised weights. */
#ifndef FUSION_QUANT_CONFIG_H
#define FUSION_QUANT_CONFIG_H

#include "base/json.h"

enum quant_kind { QUANT_NONE, QUANT_INT4, QUANT_INT8, QUANT_FP8 }; /* of weights in the files */

/* *kind is the first of the kinds that weights are of. Read are compressed-tensors' pack-quantized
 * and int-quantized, of weights alone: int8 with a scale a row, and int4 with a scale for 32
 * columns or a multiple of them; its float-quantized, and the scheme "fp8" of transformers: e4m3
 * with a scale for 128 x 128 values, a row or all, where what is said of activations is passed
 * over, with a log line. VLQA_EMODEL: all others, with what was found and what is read. */
vlqa_status quant_config_read(struct env *env, const struct json_doc *doc, enum quant_kind *kind);
const char *quant_name(enum quant_kind kind); /* "INT4"; "" for QUANT_NONE */

#endif
