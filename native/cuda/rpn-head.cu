#include "rpn-head.h"

#include "rpn-head-kernel.h"

#include <cuda_runtime.h>

// Measured on an H100, see docs/performance.md.
static const int ROWS = 4;
static const int THREADS = 256;

template <typename T, int N_ROWS> static bool launch(const rpn_head_args & a, cudaStream_t stream) {
    const dim3 grid(unsigned((a.n_cells() + N_ROWS - 1) / N_ROWS), unsigned(a.n_maps));
    rpn_head_kernel<T, N_ROWS, THREADS><<<grid, THREADS, 0, stream>>>(a);
    return cudaGetLastError() == cudaSuccess;
}

template <typename T> static bool launch_rows(const rpn_head_args & a, int rows, cudaStream_t stream) {
    switch (rows) {
        case 1:  return launch<T, 1>(a, stream);
        case 2:  return launch<T, 2>(a, stream);
        case 4:  return launch<T, 4>(a, stream);
        case 8:  return launch<T, 8>(a, stream);
        default: return false;
    }
}

bool rpn_head_launch_rows(const rpn_head_args & a, rpn_state_type type, int rows, CUstream_st * stream) {
    if (!rpn_head_kernel_fits(a, type)) {
        return false;
    }
    switch (type) {
        case RPN_STATE_F32:  return launch_rows<float>(a, rows, stream);
        case RPN_STATE_F16:  return launch_rows<__half>(a, rows, stream);
        case RPN_STATE_BF16: return launch_rows<__nv_bfloat16>(a, rows, stream);
    }
    return false;
}

bool rpn_head_launch(const rpn_head_args & a, rpn_state_type type, CUstream_st * stream) {
    return rpn_head_launch_rows(a, type, ROWS, stream);
}
