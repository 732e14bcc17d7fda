#pragma once

// Runs a CUDA kernel on the host, so that the kernel's own source is tested where there is no GPU, and under sanitizers: one
// thread per CUDA thread of a block, real barriers, shuffles through memory. ThreadSanitizer then sees a missing __syncthreads,
// AddressSanitizer an index out of bounds; a 16-byte load that is not aligned ends the program, as it would on the device.
//
// What it cannot show: a missing __threadfence (the host's atomics order more than the device's), and speed.

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct shim_dim3 {
    unsigned x = 1, y = 1;
};
struct uint4 {
    unsigned x, y, z, w;
};
struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct __half {
    uint16_t bits;
};
struct __half2 {
    __half low, high;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

float shim_from_half(uint16_t bits);

inline float2 __half22float2(__half2 h) {
    return { shim_from_half(h.low.bits), shim_from_half(h.high.bits) };
}

inline float __uint_as_float(unsigned u) {
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

template <typename T> T __ldcs(const T * p) {
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T) != 0) {
        fprintf(stderr, "misaligned load\n");
        abort();
    }
    return *p;
}

template <typename T> T __ldcg(const T * p) {
    return *p;
}

inline float __fmaf_rn(float a, float b, float c) {
    return std::fma(a, b, c);
}

inline void __threadfence() {}

inline unsigned atomicAdd(unsigned * p, unsigned v) {
    return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
}

// one block that runs
struct shim_block {
    pthread_barrier_t all;
    std::vector<pthread_barrier_t> warps;
    std::vector<float> lanes[2]; // what a shuffle exchanges; in turns, so that one barrier does for each
    alignas(16) char shared[48 * 1024];

    explicit shim_block(unsigned threads) : warps(threads / 32), lanes{ std::vector<float>(threads), std::vector<float>(threads) } {
        pthread_barrier_init(&all, nullptr, threads);
        for (pthread_barrier_t & w : warps) {
            pthread_barrier_init(&w, nullptr, 32);
        }
        memset(shared, 0xcd, sizeof(shared)); // shared memory begins as garbage
    }
    ~shim_block() {
        pthread_barrier_destroy(&all);
        for (pthread_barrier_t & w : warps) {
            pthread_barrier_destroy(&w);
        }
    }
};

inline thread_local shim_block * shim = nullptr;
inline thread_local shim_dim3 threadIdx, blockIdx;
inline shim_dim3 gridDim;

template <typename T> T * shim_shared() {
    static_assert(sizeof(T) <= sizeof(shim_block::shared), "more than a block's shared memory");
    return reinterpret_cast<T *>(shim->shared);
}

inline bool shim_no_barrier = false; // a test's switch: the fault that ThreadSanitizer must find

inline void __syncthreads() {
    if (!shim_no_barrier) {
        pthread_barrier_wait(&shim->all);
    }
}

inline float __shfl_xor_sync(unsigned, float v, int mask) {
    static thread_local unsigned turn = 0; // a thread runs in one block, and all of a warp shuffle together
    const unsigned t = threadIdx.x;
    std::vector<float> & lanes = shim->lanes[turn++ % 2];
    lanes[t] = v;
    pthread_barrier_wait(&shim->warps[t / 32]);
    return lanes[t ^ unsigned(mask)];
}

// runs kernel() for every thread of every block, `at_once` blocks at a time
template <typename F> void shim_launch(shim_dim3 grid, unsigned threads, int at_once, F kernel) {
    gridDim = grid;
    std::atomic<unsigned> next{ 0 };
    auto blocks = [&] {
        for (unsigned b; (b = next++) < grid.x * grid.y;) {
            auto block = std::make_unique<shim_block>(threads);
            std::vector<std::thread> running;
            for (unsigned t = 0; t < threads; t++) {
                running.emplace_back([&, t] {
                    shim = block.get();
                    threadIdx = { t, 0 };
                    blockIdx = { b % grid.x, b / grid.x };
                    kernel();
                });
            }
            for (std::thread & r : running) {
                r.join();
            }
        }
    };
    std::vector<std::thread> several;
    for (int i = 0; i < at_once; i++) {
        several.emplace_back(blocks);
    }
    for (std::thread & s : several) {
        s.join();
    }
}
