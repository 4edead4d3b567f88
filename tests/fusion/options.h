/* options.h - options of a question as tests write them: reuse and variant by one name, settings of
 * research without a struct beside. */
#ifndef TESTS_FUSION_OPTIONS_H
#define TESTS_FUSION_OPTIONS_H

#include "include/vlqa_experimental.h"

enum reuse {
    REUSE_OFF = 0,
    REUSE_FULL = VLQA_VARIANT_FULL,
    REUSE_NONE = VLQA_VARIANT_NONE,
    REUSE_INFOFLOW = VLQA_VARIANT_INFOFLOW,
    REUSE_PROPHET = VLQA_VARIANT_PROPHET,
    REUSE_CACHEBLEND = VLQA_VARIANT_CACHEBLEND,
    REUSE_EPIC = VLQA_VARIANT_EPIC,
    REUSE_VLCACHE = VLQA_VARIANT_VLCACHE,
    REUSE_RANDOM = VLQA_VARIANT_RANDOM,
    REUSE_ORACLE = VLQA_VARIANT_ORACLE,
    REUSE_KVSHARE = VLQA_VARIANT_KVSHARE,
    REUSE_AUTO
};

/* Of a session that may be asked for anything. */
static inline struct vlqa_session_options session_options(void)
{
    struct vlqa_session_options o = vlqa_session_options_default();
    o.experimental = 1;
    return o;
}

/* The experimental settings of o, defaults at first. Copies of o share them. */
static inline struct vlqa_experimental *experimental(struct vlqa_ask_options *o)
{
    static _Thread_local struct vlqa_experimental pool[1024];
    static _Thread_local int next;
    if (!o->experimental) {
        pool[next % 1024] = vlqa_experimental_default();
        o->experimental = &pool[next++ % 1024];
    }
    return (struct vlqa_experimental *)(uintptr_t)o->experimental;
}

static inline void set_reuse(struct vlqa_ask_options *o, enum reuse reuse)
{
    int is_variant = reuse != REUSE_OFF && reuse != REUSE_AUTO;
    o->reuse = reuse == REUSE_OFF ? VLQA_REUSE_OFF : is_variant ? VLQA_REUSE_ON : VLQA_REUSE_AUTO;
    experimental(o)->variant = is_variant ? (enum vlqa_variant)reuse : VLQA_VARIANT_DEFAULT;
}

#endif
