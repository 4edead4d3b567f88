/* stack.h - whether a thread has the stack that calls need, and threads that have it. */
#ifndef BASE_STACK_H
#define BASE_STACK_H

#include "base/env.h"

#include <pthread.h>

/* VLQA_ELIMIT: the calling thread has less stack left than calls were found to take. A stack
 * that the thread did not get from the system (of a coroutine, say) is taken as it is. */
vlqa_status stack_check(struct env *env);
/* pthread_create with a stack that is large enough, whatever the limits of the process. Signals
 * stay with the threads of the program that uses us. Returns an errno. */
int stack_thread(pthread_t *thread, void *(*fn)(void *), void *arg);

#endif
