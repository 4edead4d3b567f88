/* stack.c - threads of a known stack. */
#include "base/stack.h"

#include <signal.h>

#define LEAST_LEFT ((size_t)56 << 10) /* more than tests/fusion/test_stack.c finds in use */

vlqa_status stack_check(struct env *env)
{
    pthread_attr_t attr;
    void *end = NULL;
    size_t bytes = 0, left = 0;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (pthread_getattr_np(pthread_self(), &attr) != 0) return VLQA_OK;
    if (pthread_attr_getstack(&attr, &end, &bytes) == 0 && here > (uintptr_t)end)
        left = here - (uintptr_t)end;
    (void)pthread_attr_destroy(&attr);
    if (!left || left > bytes || left >= LEAST_LEFT) return VLQA_OK;
    return env_fail(env, VLQA_ELIMIT,
                    "the calling thread has %zu KiB of stack left: give it %d KiB", left >> 10,
                    VLQA_STACK_BYTES >> 10);
}

int stack_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int error = pthread_attr_init(&attr);
    if (error) return error;
    (void)pthread_attr_setstacksize(&attr, 2 * VLQA_STACK_BYTES); /* sanitizers take more */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return error;
}
