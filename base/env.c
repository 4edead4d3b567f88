/* env.c - messages, log lines, progress. */
#include "base/env.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void format_line(char *out, size_t cap, const char *format, va_list args)
{
    vsnprintf(out, cap, format, args);
    for (unsigned char *c = (unsigned char *)out; *c; c++) {
        int c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f; /* U+0080..U+009F */
        if (c[0] < 0x20 || c[0] == 0x7f || c1) c[0] = '?';
        if (c1) c[1] = '?';
    }
}

vlqa_status env_fail(struct env *env, vlqa_status status, const char *format, ...)
{
    char message[sizeof env->message]; /* the old one may be among the arguments */
    va_list args;
    va_start(args, format);
    format_line(message, sizeof message, format, args);
    va_end(args);
    memcpy(env->message, message, strlen(message) + 1);
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
    int cancelled = env->progress && env->progress(env->user, phase, done, total);
    if (cancelled && !env->only_told)
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

double env_since(double *mark)
{
    double now = env_ms(), ms = now - *mark;
    *mark = now;
    return ms;
}
