/* on_device.h - arrays of tests on the device. */
#ifndef TESTS_CUDA_ON_DEVICE_H
#define TESTS_CUDA_ON_DEVICE_H

#include <stdio.h>
#include <stdlib.h>

#include <vector>

/* Ends the program: what follows would mean nothing. */
static inline void need(cudaError_t e, const char *what)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}

template <class T> struct on_device { /* a host array and its copy */
    std::vector<T> host;
    T *at = nullptr;
    explicit on_device(size_t n) : host(n)
    {
        need(cudaMalloc((void **)&at, n * sizeof(T)), "memory of the device");
    }
    on_device(const on_device &) = delete;
    ~on_device()
    {
        cudaFree(at);
    }
    void up()
    {
        cudaMemcpyAsync(at, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice, nullptr);
    }
    void down()
    {
        cudaMemcpyAsync(host.data(), at, host.size() * sizeof(T), cudaMemcpyDeviceToHost, nullptr);
        need(cudaStreamSynchronize(nullptr), "work");
    }
    void spoil() /* what a kernel does not write is found */
    {
        cudaMemsetAsync(at, 0xff, host.size() * sizeof(T), nullptr);
    }
};

#endif
