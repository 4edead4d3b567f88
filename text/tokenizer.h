/* tokenizer.h - byte-level BPE from tokenizer.json: text to ids and back. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/arena.h"
#include "base/env.h"
#include "base/hash.h"

struct tokenizer; /* immutable after load; shared by threads */

/* tokenizer.json, or vocab.json + merges.txt with the added tokens of tokenizer_config.json. vocab:
 * rows of the embedding; every id must be below it. */
vlqa_status tokenizer_load(struct env *env, const char *dir, int vocab, struct tokenizer **out);
/* 256 byte tokens and Qwen's control tokens, no merges: for random weights. */
vlqa_status tokenizer_bytes(struct env *env, int vocab, struct tokenizer **out);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

/* Plain text: NFC, the Qwen2/3 pre-tokenizer, BPE. Text that spells a control token is encoded as
 * ordinary characters, never as the control token; added tokens without the `special` flag
 * (<think>, <tool_call>) are matched. Writes at most cap ids; *n is the number the text has, so
 * *n > cap means cut (and no error). Errors: VLQA_ETEXT with the offset of the first ill-formed
 * UTF-8 byte; VLQA_ELIMIT when scratch cannot hold the work (about tokenizer_scratch(bytes)).
 * No heap calls. */
vlqa_status tokenizer_encode(struct env *env, const struct tokenizer *t, const char *utf8,
                             size_t bytes, struct arena *scratch, int32_t *ids, int cap, int *n);
/* Scratch that is always enough for a text of so many bytes. */
size_t tokenizer_scratch(size_t bytes);
/* The same with every added token matched, as transformers does: for templates and tests. */
vlqa_status tokenizer_encode_special(struct env *env, const struct tokenizer *t, const char *utf8,
                                     size_t bytes, struct arena *scratch, int32_t *ids, int cap,
                                     int *n);
/* The control token that text begins with, and its bytes; the longest, or -1. */
int32_t tokenizer_control_at(const struct tokenizer *t, const char *utf8, size_t bytes,
                             size_t *length);
/* Bytes of an id (not necessarily whole code points); control tokens and unknown ids have none. The
 * pointer lives as long as the tokenizer. */
const char *tokenizer_token_bytes(const struct tokenizer *t, int32_t id, size_t *bytes);
/* How a control token is spelled; NULL: it is none. */
const char *tokenizer_control_bytes(const struct tokenizer *t, int32_t id, size_t *bytes);
/* The id of an added token by its text, or -1. */
int32_t tokenizer_added(const struct tokenizer *t, const char *text);
int tokenizer_is_special(const struct tokenizer *t, int32_t id);
int tokenizer_count(const struct tokenizer *t); /* one more than the highest id with a token */
void tokenizer_digest(const struct tokenizer *t, struct hash *hash);

#endif
