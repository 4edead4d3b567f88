/* store_lock.h - one process at a time writes into a directory: by a lock that only processes of
 * this user can hold. */
#ifndef FUSION_STORE_LOCK_H
#define FUSION_STORE_LOCK_H

#include "base/env.h"

#define STORE_LOCK_NAME "vlqa.lock"
#define STORE_LOCK_WAIT_MS 5000.0 /* a writer of one batch is done by then */

/* Waits so long for the lock of a directory. VLQA_EIO: another process keeps it (*is_held is
 * nonzero then), it cannot be opened, or it is none that we may trust: the message says what to do.
 * The lock ends with the process that holds it, at the latest. */
vlqa_status store_lock_take(struct env *env, const char *dir, double wait_ms, int *fd,
                            int *is_held);
void store_lock_drop(int fd);

#endif
