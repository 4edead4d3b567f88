/* engine.h - a loaded model: files, weights, tokenizer, threads. The composition root. */
#ifndef FUSION_ENGINE_H
#define FUSION_ENGINE_H

#include "base/hash.h"
#include "base/pool.h"
#include "fusion/engine/abi.h"
#include "fusion/engine/model.h"
#include "fusion/engine/rates.h"
#include "fusion/store/record.h"
#include "fusion/store/store.h"
#include "fusion/store/store_gpu.h"
#include "text/prompt.h"

#include <stdatomic.h>
#include <sys/types.h>

struct vlqa_engine { /* immutable after open: sessions on any threads share it */
    struct env env;
    int usable; /* the whole load succeeded; else only the message is of use */
    struct vlqa_engine_options options; /* model and random_shape point nowhere after open */
    pid_t process;                      /* threads do not survive a fork */
    atomic_int holders;  /* handle, a load in progress, sessions, images: the last one frees it */
    atomic_int closed;   /* there is no handle any more */
    atomic_int together; /* a session is in a call that all ranks make */
    struct pool *pool;
    struct device *device;
    struct st_files *files; /* names and shapes; what they are of is in weights */
    void *weights;          /* one block of the device */
    size_t weights_bytes;
    struct vit vit;
    struct decoder decoder;
    enum dtype chunk; /* of K and V in chunks: that of the decoder's KV, or fewer bits */
    struct tokenizer *tokenizer;
    struct prompt_tokens tokens;
    struct model_ids ids;
    int max_token_bytes; /* bytes of the longest token */
    struct key model_key;
    struct store *store;
    struct store_gpu *store_gpu; /* NULL: no copies on the device */
    struct rates rates;          /* with load_or_compute */
    char salt[256];
    char name[128];
};

/* For sessions and images. engine_let_go: nonzero: it was the last, and the engine is no more. */
void engine_hold(struct vlqa_engine *e);
int engine_let_go(struct vlqa_engine *e);
/* The model ends its turn with this token. */
int engine_ends_turn(const struct vlqa_engine *e, int32_t id);
/* Columns of K and of V of a layer in a chunk. */
int engine_chunk_cols(const struct vlqa_engine *e);
/* What every record of this engine depends on; the rest is the caller's to fill. */
void engine_key_parts(const struct vlqa_engine *e, struct key_parts *out);

#endif
