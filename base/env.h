/* env.h - what every call that can fail carries: where to put the reason, whom to tell. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include "include/vlqa.h"

#include <string.h>

struct pool;

struct env {
    vlqa_log_fn log;           /* or NULL */
    vlqa_progress_fn progress; /* or NULL */
    void *user;
    int only_told;     /* what progress returns counts elsewhere: on rank 0 (vlqa_ranks.h) */
    struct pool *pool; /* borrowed from the engine; NULL: the calling thread alone */
    char message[512]; /* why the last call failed, or "" */
};

/* Writes the message (cut at its size, control characters replaced by '?', so that a hostile name
 * cannot drive a terminal) and returns status. */
vlqa_status env_fail(struct env *env, vlqa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void env_log(struct env *env, enum vlqa_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* VLQA_ECANCELLED when the callback returns nonzero. */
vlqa_status env_progress(struct env *env, const char *phase, int64_t done, int64_t total);
/* "out of memory: NAME needs N bytes" */
vlqa_status env_no_memory(struct env *env, const char *name, size_t bytes);
/* Milliseconds of a monotonic clock. */
double env_ms(void);
/* Milliseconds since *mark, which moves to now. */
double env_since(double *mark);

#define TRY(call)                                       \
    do {                                                \
        vlqa_status try_status_ = (call);               \
        if (try_status_ != VLQA_OK) return try_status_; \
    } while (0)

#endif
