/* rates.h - how fast an engine has read, uploaded and computed so far, and what follows for a chunk
 * that is stored. */
#ifndef FUSION_RATES_H
#define FUSION_RATES_H

#include "kernels/device.h"

#include <pthread.h>

enum rate { RATE_DISK, RATE_UPLOAD, RATE_FLOPS, N_RATES }; /* bytes, bytes, operations */

struct rates { /* locks itself */
    pthread_mutex_t lock;
    double amount[N_RATES], ms[N_RATES]; /* of all that was measured; 0: nothing was */
};

/* Estimates in milliseconds, 0: a rate is not known. */
struct load_estimate {
    double ms_load, ms_compute;
};

void rates_open(struct rates *r);
void rates_close(struct rates *r);
void rates_add(struct rates *r, enum rate rate, double amount, double ms);
/* Times an upload, which no question waits for, where device memory is not the host's. Without
 * memory for it nothing is known. */
void rates_time_upload(struct rates *r, struct env *env, struct device *device);

/* A chunk of so many bytes that is to be read from disk, uploaded, both or neither, and takes so
 * many operations to compute. */
struct load_estimate rates_estimate(struct rates *r, double bytes, int from_disk, int to_device,
                                    double flops);
/* The rule: a chunk is computed if both times are known and loading takes longer. */
int load_is_slower(struct load_estimate e);

#endif
