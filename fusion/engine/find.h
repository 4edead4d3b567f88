/* find.h - from what a user gave as the model to the directory that has it, or to what to type. */
#ifndef FUSION_FIND_H
#define FUSION_FIND_H

#include "base/env.h"

#define MODEL_PATH_BYTES 4096

/* A directory with a config.json is itself; the root of a repository in the hub's cache
 * (models--ORG--NAME) is the snapshot that refs/main names, or the only one. VLQA_EMODEL for the
 * rest with a message that says what is there and what to do: a path or hub id that does not exist,
 * a URL, a file, GGUF, a LoRA adapter, the hub's cache, a directory above the model. VLQA_EUSAGE:
 * the path is too long. */
vlqa_status model_find(struct env *env, const char *path, char out[MODEL_PATH_BYTES]);

#endif
