/* options.h - options of a question as tests write them: reuse and method by one name, settings of
 * research without a struct beside. */
#ifndef TESTS_FUSION_OPTIONS_H
#define TESTS_FUSION_OPTIONS_H

#include "include/vlqa_experimental.h"

enum reuse {
    REUSE_OFF = 0,
    REUSE_FULL = VLQA_METHOD_FULL,
    REUSE_NONE = VLQA_METHOD_NONE,
    REUSE_INFOFLOW = VLQA_METHOD_INFOFLOW,
    REUSE_PROPHET = VLQA_METHOD_PROPHET,
    REUSE_CACHEBLEND = VLQA_METHOD_CACHEBLEND,
    REUSE_EPIC = VLQA_METHOD_EPIC,
    REUSE_VLCACHE = VLQA_METHOD_VLCACHE,
    REUSE_RANDOM = VLQA_METHOD_RANDOM,
    REUSE_ORACLE = VLQA_METHOD_ORACLE,
    REUSE_KVSHARE = VLQA_METHOD_KVSHARE,
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
    int is_method = reuse != REUSE_OFF && reuse != REUSE_AUTO;
    o->reuse = reuse == REUSE_OFF ? VLQA_REUSE_OFF : is_method ? VLQA_REUSE_ON : VLQA_REUSE_AUTO;
    experimental(o)->method = is_method ? (enum vlqa_method)reuse : VLQA_METHOD_DEFAULT;
}

#endif
