/* abi.c - public structs by their sizes: the defaults of options, what is taken from a caller and
 * what is given to one. */
#include "fusion/engine/abi.h"

#include "base/heap.h"

#include <string.h>

vlqa_status abi_check(struct env *env, const char *name, size_t bytes, size_t least)
{
    if (bytes >= least) return VLQA_OK;
    return env_fail(env, VLQA_EUSAGE,
                    "%s: the caller's struct has %zu bytes, expected %zu or more: pass its sizeof",
                    name, bytes, least);
}

void abi_give(void *to, size_t to_bytes, const void *from, size_t from_bytes)
{
    size_t known = to_bytes < from_bytes ? to_bytes : from_bytes;
    memcpy(to, from, known);
    memset((char *)to + known, 0, to_bytes - known);
}

vlqa_status abi_take(struct env *env, const char *name, const void *from, void *to, size_t to_bytes,
                     size_t least)
{
    const unsigned char *bytes = from;
    uint32_t head[2]; /* version, struct_bytes */
    memcpy(head, from, sizeof head);
    if (head[0] != VLQA_OPTIONS_VERSION)
        return env_fail(env, VLQA_EUSAGE,
                        "%s options: version is %u, expected %u; start from the init function",
                        name, head[0], VLQA_OPTIONS_VERSION);
    if (head[1] < least || head[1] > ABI_MOST)
        return env_fail(
            env, VLQA_EUSAGE,
            "%s options: struct_bytes is %u, expected %zu as this library has it; start "
            "from the init function",
            name, head[1], to_bytes);
    for (size_t i = to_bytes; i < head[1]; i++)
        if (bytes[i])
            return env_fail(env, VLQA_EUSAGE,
                            "%s options: byte %zu of %u is set, this library knows %zu: it is "
                            "older than the header; leave newer fields 0 or update the library",
                            name, i, head[1], to_bytes);
    memcpy(to, from, head[1] < to_bytes ? head[1] : to_bytes);
    return VLQA_OK;
}

/* ---- defaults ---- */

/* Any of the options: all begin with these fields. */
static vlqa_status give_options(void *out, size_t bytes, const void *from, size_t from_bytes,
                                size_t least)
{
    const uint32_t head[2] = {VLQA_OPTIONS_VERSION, (uint32_t)bytes};
    if (!out || bytes < least || bytes > UINT32_MAX) return VLQA_EUSAGE;
    abi_give(out, bytes, from, from_bytes);
    memcpy(out, head, sizeof head);
    return VLQA_OK;
}

vlqa_status vlqa_engine_options_init(struct vlqa_engine_options *out, size_t bytes)
{
    static const struct vlqa_engine_options defaults = {0};
    return give_options(out, bytes, &defaults, sizeof defaults, ENGINE_OPTIONS_LEAST);
}

vlqa_status vlqa_session_options_init(struct vlqa_session_options *out, size_t bytes)
{
    static const struct vlqa_session_options defaults = {0};
    return give_options(out, bytes, &defaults, sizeof defaults, SESSION_OPTIONS_LEAST);
}

vlqa_status vlqa_ask_options_init(struct vlqa_ask_options *out, size_t bytes)
{
    static const struct vlqa_ask_options defaults = {.max_tokens = 128,
                                                     .top_p = 1.0f,
                                                     .repetition_penalty = 1.0f,
                                                     .recompute_ratio = 0.15f,
                                                     .chunk_k = 2,
                                                     .chunk_text_tokens = 256,
                                                     .halo = -1,
                                                     .evidence_max = 16,
                                                     .evidence_share = 0.05f};
    return give_options(out, bytes, &defaults, sizeof defaults, ASK_OPTIONS_LEAST);
}

vlqa_status vlqa_experimental_init(struct vlqa_experimental *out, size_t bytes)
{
    static const struct vlqa_experimental defaults = {.score = VLQA_SCORE_MAX,
                                                      .refresh_every = 1,
                                                      .refresh_tokens = 4,
                                                      .kv_ratio = 1,
                                                      .kv_window = 16,
                                                      .kv_step = 64,
                                                      .kv_entropy = 0.5f,
                                                      .kv_top = 10};
    return give_options(out, bytes, &defaults, sizeof defaults, EXPERIMENTAL_LEAST);
}

vlqa_status vlqa_cache_options_init(struct vlqa_cache_options *out, size_t bytes)
{
    static const struct vlqa_cache_options defaults = {0};
    return give_options(out, bytes, &defaults, sizeof defaults, CACHE_OPTIONS_LEAST);
}

/* ---- options on the heap ---- */

/* Of the largest size, so that neither a longer nor a shorter mirror of them ends outside. */
struct vlqa_engine_options *vlqa_engine_options_new(void)
{
    void *out = heap_alloc(ABI_MOST);
    if (out) (void)vlqa_engine_options_init(out, ABI_MOST);
    return out;
}

struct vlqa_session_options *vlqa_session_options_new(void)
{
    void *out = heap_alloc(ABI_MOST);
    if (out) (void)vlqa_session_options_init(out, ABI_MOST);
    return out;
}

struct vlqa_ask_options *vlqa_ask_options_new(void)
{
    void *out = heap_alloc(ABI_MOST);
    if (out) (void)vlqa_ask_options_init(out, ABI_MOST);
    return out;
}

struct vlqa_cache_options *vlqa_cache_options_new(void)
{
    void *out = heap_alloc(ABI_MOST);
    if (out) (void)vlqa_cache_options_init(out, ABI_MOST);
    return out;
}

void vlqa_options_free(void *options)
{
    heap_free(options);
}

/* ---- elements of an answer's arrays ---- */

/* Element `index` of n; zeros where there is none. */
static vlqa_status give_element(const void *all, int n, int index, size_t each, void *out,
                                size_t bytes, size_t least)
{
    if (!out || bytes < least) return VLQA_EUSAGE;
    if (!all || index < 0 || index >= n) {
        memset(out, 0, bytes);
        return VLQA_EUSAGE;
    }
    abi_give(out, bytes, (const char *)all + (size_t)index * each, each);
    return VLQA_OK;
}

vlqa_status vlqa_answer_image(const struct vlqa_answer *answer, int index,
                              struct vlqa_placed_image *out, size_t bytes)
{
    if (!answer) return VLQA_EUSAGE;
    return give_element(answer->image, answer->n_images, index, sizeof *out, out, bytes,
                        PLACED_IMAGE_LEAST);
}

vlqa_status vlqa_answer_chunk(const struct vlqa_answer *answer, int index,
                              struct vlqa_placed_chunk *out, size_t bytes)
{
    if (!answer) return VLQA_EUSAGE;
    return give_element(answer->chunk, answer->n_chunks, index, sizeof *out, out, bytes,
                        PLACED_CHUNK_LEAST);
}

vlqa_status vlqa_answer_evidence(const struct vlqa_answer *answer, int index,
                                 struct vlqa_evidence *out, size_t bytes)
{
    if (!answer) return VLQA_EUSAGE;
    return give_element(answer->evidence, answer->n_evidence, index, sizeof *out, out, bytes,
                        EVIDENCE_LEAST);
}
