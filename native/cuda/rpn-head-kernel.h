#pragma once

// The fused head (paper section 3; three sums in one pass over the states, see native/core/rpn): with w_t and w_in the two
// norms' weights, u the question's direction and n the width,
//
//   A = sum x^2,  B = sum (x w_t)^2,  C = sum x w_t w_in u
//   r1 = 1 / sqrt(A/n + e),  r2 = 1 / sqrt(r1^2 B/n + e),  logit = r1 r2 C / (H sqrt d)
//
// then, where asked for, the sigmoid, and by the block that finishes last the 3x3 blur of the reference. The states are most of the bytes and are
// read once; ROWS of them share a block, so that w_t, w_in and u are read once for ROWS rows.
//
// This source is compiled by nvcc, and by the host's compiler for native/test/test-head-kernel, which runs it under sanitizers.
// The includer has to provide CUDA's names (cuda-shim.h does on the host).

#include "rpn-head-args.h"

#include <cstring>
#include <type_traits>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define RPN_SHARED(type, name) __shared__ type name
#define RPN_UNROLL _Pragma("unroll")
#else
#define RPN_SHARED(type, name) type & name = *shim_shared<type>()
#define RPN_UNROLL
#endif

// numbers of T in a 16-byte load
template <typename T> struct rpn_vec16 {
    static constexpr int N = 16 / sizeof(T);
};

// Each state is read once in a launch, so it leaves the cache first (ld.global.cs).
template <typename T> static __device__ __forceinline__ void rpn_load16(const T * p, float (&v)[rpn_vec16<T>::N]) {
    const uint4 r = __ldcs(reinterpret_cast<const uint4 *>(p));
    const unsigned w[4] = { r.x, r.y, r.z, r.w };
    RPN_UNROLL
    for (int i = 0; i < 4; i++) {
        if constexpr (std::is_same<T, float>::value) {
            v[i] = __uint_as_float(w[i]);
        } else if constexpr (std::is_same<T, __half>::value) {
            __half2 h;
            memcpy(&h, &w[i], sizeof(h));
            const float2 f = __half22float2(h);
            v[2 * i] = f.x;
            v[2 * i + 1] = f.y;
        } else { // bf16 is the upper half of a float
            v[2 * i] = __uint_as_float(w[i] << 16);
            v[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
        }
    }
}

static __device__ __forceinline__ float rpn_warp_sum(float v) {
    for (int lane = 16; lane > 0; lane >>= 1) {
        v += __shfl_xor_sync(0xffffffffu, v, lane);
    }
    return v;
}

// the neighbour's index along one axis; the border is mirrored without repeating it, as the reference pads (reflect), and an
// axis of one cell is its own neighbour
static __device__ __forceinline__ int rpn_mirror(int i, int side) {
    if (side == 1) {
        return 0;
    }
    return i < 0 ? 1 : i >= side ? side - 2 : i;
}

// The reference's 3x3 Gaussian (sigma 1) over one map, by all threads of a block. The probabilities were written by other blocks, so they are read past
// the multiprocessor's own cache.
template <int THREADS> static __device__ void rpn_blur(const float * prob, float * blurred, int width, int height) {
    const float tail = 0.60653066f; // exp(-1/2)
    const float sum = tail + 1.0f + tail;
    const float k[3] = { tail / sum, 1.0f / sum, tail / sum };
    for (int c = threadIdx.x; c < width * height; c += THREADS) {
        const int cy = c / width, cx = c % width;
        float s = 0;
        RPN_UNROLL
        for (int dy = 0; dy < 3; dy++) {
            RPN_UNROLL
            for (int dx = 0; dx < 3; dx++) {
                const int at = rpn_mirror(cy + dy - 1, height) * width + rpn_mirror(cx + dx - 1, width);
                s = __fmaf_rn(k[dy] * k[dx], __ldcg(prob + at), s);
            }
        }
        blurred[c] = s;
    }
}

// grid: x = ceil(n_cells / ROWS), y = n_maps
template <typename T, int ROWS, int THREADS>
static __global__ void __launch_bounds__(THREADS) rpn_head_kernel(const rpn_head_args a) {
    constexpr int V = rpn_vec16<T>::N, WARPS = THREADS / 32;
    struct shared_t {
        float part[WARPS][ROWS][3];
        bool last;
    };
    RPN_SHARED(shared_t, sh);

    const int n_cells = a.n_cells(), map = blockIdx.y, first = blockIdx.x * ROWS;
    const char * x = static_cast<const char *>(a.x) + map * a.map_bytes;
    const float * u = a.u + int64_t(map) * a.n;

    const T * row[ROWS];
    RPN_UNROLL
    for (int r = 0; r < ROWS; r++) {
        const int j = first + r < n_cells ? first + r : n_cells - 1; // past the end: the last row again, its sums are dropped
        row[r] = reinterpret_cast<const T *>(x + j * a.row_bytes);
    }
    float sa[ROWS] = {}, sb[ROWS] = {}, sc[ROWS] = {};
    for (int i = threadIdx.x * V; i < a.n; i += THREADS * V) {
        float xv[ROWS][V];
        RPN_UNROLL
        for (int r = 0; r < ROWS; r++) {
            rpn_load16(row[r] + i, xv[r]);
        }
        float wt[V], wu[V];
        RPN_UNROLL
        for (int k = 0; k < V; k += 4) {
            const float4 t = *reinterpret_cast<const float4 *>(a.w_t + i + k);
            const float4 w = *reinterpret_cast<const float4 *>(a.w_in + i + k);
            const float4 d = *reinterpret_cast<const float4 *>(u + i + k);
            wt[k] = t.x;
            wt[k + 1] = t.y;
            wt[k + 2] = t.z;
            wt[k + 3] = t.w;
            wu[k] = t.x * w.x * d.x;
            wu[k + 1] = t.y * w.y * d.y;
            wu[k + 2] = t.z * w.z * d.z;
            wu[k + 3] = t.w * w.w * d.w;
        }
        RPN_UNROLL
        for (int r = 0; r < ROWS; r++) {
            RPN_UNROLL
            for (int k = 0; k < V; k++) {
                const float v = xv[r][k], t = v * wt[k];
                sa[r] += v * v;
                sb[r] += t * t;
                sc[r] += v * wu[k];
            }
        }
    }

    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    RPN_UNROLL
    for (int r = 0; r < ROWS; r++) {
        const float va = rpn_warp_sum(sa[r]), vb = rpn_warp_sum(sb[r]), vc = rpn_warp_sum(sc[r]);
        if (lane == 0) {
            sh.part[warp][r][0] = va;
            sh.part[warp][r][1] = vb;
            sh.part[warp][r][2] = vc;
        }
    }
    __syncthreads();

    float * logits = a.out + int64_t(map) * a.planes * n_cells;
    float * prob = logits + n_cells;
    float * blurred = prob + n_cells;
    if (threadIdx.x < ROWS && first + int(threadIdx.x) < n_cells) {
        float va = 0, vb = 0, vc = 0;
        for (int w = 0; w < WARPS; w++) {
            va += sh.part[w][threadIdx.x][0];
            vb += sh.part[w][threadIdx.x][1];
            vc += sh.part[w][threadIdx.x][2];
        }
        const float r1 = 1.0f / sqrtf(va / a.n + a.eps), r2 = 1.0f / sqrtf(r1 * r1 * vb / a.n + a.eps);
        const float s = r1 * r2 * vc * a.scale;
        logits[first + threadIdx.x] = s;
        if (a.planes == 3) {
            prob[first + threadIdx.x] = 1.0f / (1.0f + expf(-s));
            __threadfence(); // visible to all blocks before this one is counted as finished
        }
    }
    if (a.planes == 1) {
        return;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        sh.last = atomicAdd(a.done + map, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!sh.last) {
        return;
    }
    __threadfence(); // what the other blocks wrote before they were counted is read after the count
    rpn_blur<THREADS>(prob, blurred, a.width, a.height);
    if (threadIdx.x == 0) {
        a.done[map] = 0;
    }
}
