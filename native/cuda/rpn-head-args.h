#pragma once

// What the fused head's kernel reads and writes, in device memory. Plain data: for nvcc and for the host's compiler.

#include <cstdint>

enum rpn_state_type { RPN_STATE_F32, RPN_STATE_F16, RPN_STATE_BF16 };

struct rpn_head_args {
    const void * x;     // states before the norms: [n_maps] maps, map_bytes apart, of [n_cells] rows, row_bytes apart, of n numbers
    const float * w_t;  // [n] weights of the norm before the last block (twig norm)
    const float * w_in; // [n] weights of the last block's input norm
    const float * u;    // [n_maps][n] W_k^T W_q n_q, one direction for each map's question
    float * out;        // [n_maps][planes][n_cells]: logits; with three planes probabilities and blurred probabilities too
    unsigned * done;    // with three planes: [n_maps] blocks that have finished; zero before the launch, and left zero by it
    int64_t row_bytes;
    int64_t map_bytes;
    int n; // width of a state
    int n_maps;
    int planes; // 1 or 3
    int width;  // of the grid; n_cells is width * height
    int height;
    float eps;   // of both norms
    float scale; // 1 / (H sqrt d)

#ifdef __CUDACC__
    __host__ __device__
#endif
    int n_cells() const {
        return width * height;
    }
};

// Whether the kernel can run on these: rows, vectors and widths that 16-byte loads divide, and numbers that 32 bits index. Where
// it says no, the general head computes the same.
inline bool rpn_head_kernel_fits(const rpn_head_args & a, rpn_state_type type) {
    const int per_load = type == RPN_STATE_F32 ? 4 : 8;
    auto aligned = [](const void * p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    return a.n > 0 && a.n % per_load == 0 && a.row_bytes % 16 == 0 && a.map_bytes % 16 == 0 && (a.planes == 1 || (a.planes == 3 && a.done)) && a.width > 0
        && a.height > 0 && int64_t(a.width) * a.height < (1 << 30) && a.n_maps > 0 && a.n_maps <= 65535 && aligned(a.x) && aligned(a.w_t) && aligned(a.w_in)
        && aligned(a.u);
}
