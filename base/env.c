/* env.c - messages, log lines, progress. */
#include "base/env.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static void format_line(char *out, size_t cap, const char *format, va_list args)
{
    vsnprintf(out, cap, format, args);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

vlqa_status env_fail(struct env *env, vlqa_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_line(env->message, sizeof env->message, format, args);
    va_end(args);
    return status;
}

void env_log(struct env *env, enum vlqa_log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (!env->log) return;
    va_start(args, format);
    format_line(line, sizeof line, format, args);
    va_end(args);
    env->log(env->user, level, line);
}

vlqa_status env_progress(struct env *env, const char *phase, int64_t done, int64_t total)
{
    if (env->progress && env->progress(env->user, phase, done, total))
        return env_fail(env, VLQA_ECANCELLED, "cancelled during %s", phase);
    return VLQA_OK;
}

vlqa_status env_no_memory(struct env *env, const char *name, size_t bytes)
{
    return env_fail(env, VLQA_EMEMORY, "out of memory: %s needs %zu bytes", name, bytes);
}

double env_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
