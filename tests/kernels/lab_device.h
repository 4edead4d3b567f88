/* lab_device.h - a device for tests of single operations whose memory is the host's, over one whose
 * memory is its own. */
#ifndef TESTS_KERNELS_LAB_DEVICE_H
#define TESTS_KERNELS_LAB_DEVICE_H

#include "kernels/device.h"

/* Before an operation, what it is given is copied to memory of `inner` that holds nothing else and
 * lies as the original does on 256 bytes; behind it, what it may have written is copied back,
 * gaps between rows included. Work is of the inner device, as large as that asks for, filled with
 * NaN, and looked at behind its end. An error of the inner device ends the program with its words:
 * no result that follows would mean anything. Closes inner with it, and where it cannot be opened.
 */
vlqa_status lab_device_open(struct env *env, struct device *inner, struct device **out);

#endif
