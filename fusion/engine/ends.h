/* ends.h - the tokens that end an answer: what all files of a model directory say together. */
#ifndef FUSION_ENDS_H
#define FUSION_ENDS_H

#include "base/hash.h"
#include "fusion/engine/model.h"
#include "text/tokenizer.h"

/* The union of eos_token_id in generation_config.json, config.json and its text_config (a number or
 * a list), eos_token in tokenizer_config.json and special_tokens_map.json (a text or {content}),
 * and
 * <|im_end|> and <|endoftext|> where the tokenizer has them: files that were saved by different
 * programs name different ones, and vLLM and mlx-vlm stop at all of them. dir NULL: the last two
 * alone. Feeds the digest with ids that only the tokenizer's files name. VLQA_EMODEL. */
vlqa_status ends_read(struct env *env, const char *dir, const struct tokenizer *t,
                      struct model_ids *ids, struct hash *digest);

#endif
