/* nccl_stub.h - NCCL between processes with an emulated GPU each.
 *
 * What a rank gives leaves when its stream gets there, and what it takes arrives when the others'
 * streams have, so nothing is there early. Calls return before they are through, launch when they
 * are asked about, and end the program where ranks do not make the same ones. */
#ifndef TESTS_CUDA_NCCL_STUB_H
#define TESTS_CUDA_NCCL_STUB_H

#ifdef __cplusplus
extern "C" {
#endif

/* Of this process, before an engine opens its device. Without: there is no library. */
void nccl_stub_install(void);
/* From now on device properties are those of that GPU, of the same machine; first 0. */
void nccl_stub_gpu(int number);
/* From now on no communicator is opened here. */
void nccl_stub_refuse(void);
/* After that many more gathers there is an error on the way. */
void nccl_stub_fail(long after);

struct nccl_stub_counts {
    unsigned long long gathers, aborts;
};
struct nccl_stub_counts nccl_stub_count(void);

#ifdef __cplusplus
}
#endif

#endif
