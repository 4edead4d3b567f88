/* guard_device.h - a device that keeps the host out: the CPU's operations behind memory that only
 * they may touch, on queues that run as late as they may.
 *
 * A program that is linked with this file and -Wl,--wrap=device_open opens it in place of the CPU.
 * Device memory is protected pages: an access of the host is a segmentation fault. Everything that
 * is enqueued waits for queue_sync; until then, what a download will write reads as GUARD_POISON.
 */
#ifndef TESTS_GUARD_DEVICE_H
#define TESTS_GUARD_DEVICE_H

#include "kernels/device.h"

#define GUARD_POISON 0xa5 /* each byte; as f32 and as bf16 it is a small negative number */

/* A mistake of the program, made on purpose: the countdown-th call of that kind from now on does
 * nothing. GUARD_SOUND: no mistake. GUARD_SYNC_FAILS is one of the device: that sync and all behind
 * it return VLQA_EDEVICE. */
enum guard_fault {
    GUARD_SOUND,
    GUARD_NO_SYNC,
    GUARD_NO_UPLOAD,
    GUARD_NO_DOWNLOAD,
    GUARD_SYNC_FAILS
};
void guard_plant(enum guard_fault fault, int countdown);
int guard_planted(void);                     /* nonzero: it has not happened yet */
size_t guard_waiting(const struct queue *q); /* calls that are enqueued and have not run */

#endif
