#include "rpn-head-op.h"

#include "rpn-head.h"

#include "rpn/rpn.h"

#include "ggml-backend.h"
#include "ggml-cuda.h"

#include <cuda_runtime.h>

#include <cmath>

// src: states [n, n_cells], w_t [n], w_in [n], u [n]; dst [n_cells]
static rpn_head_args args_of(const ggml_tensor * dst) {
    const ggml_tensor * x = dst->src[0];
    rpn_head_args a = {};
    a.x = x->data;
    a.w_t = static_cast<const float *>(dst->src[1]->data);
    a.w_in = static_cast<const float *>(dst->src[2]->data);
    a.u = static_cast<const float *>(dst->src[3]->data);
    a.out = static_cast<float *>(dst->data);
    a.row_bytes = int64_t(x->nb[1]);
    a.map_bytes = int64_t(x->nb[1]) * x->ne[1];
    a.n = int(x->ne[0]);
    a.n_maps = 1;
    a.planes = 1; // the rule that reads the map (src/roi) does its own sigmoid and blur, rounded as the reference rounds
    a.width = int(x->ne[1]);
    a.height = 1;
    return a;
}

// from types and shapes alone: nothing has memory yet, and what gets some is aligned
static bool supports(const ggml_tensor * dst) {
    for (int i = 0; i < 4; i++) {
        const ggml_tensor * src = dst->src[i];
        if (!src || src->type != GGML_TYPE_F32 || src->nb[0] != sizeof(float)) {
            return false;
        }
    }
    rpn_head_args a = args_of(dst);
    a.x = nullptr;
    a.w_t = a.w_in = a.u = nullptr;
    return rpn_head_kernel_fits(a, RPN_STATE_F32);
}

static void launch(ggml_tensor * dst, void * userdata, void * stream) {
    const rpn_hparams & hp = *static_cast<const rpn_hparams *>(userdata);
    rpn_head_args a = args_of(dst);
    a.eps = hp.eps;
    a.scale = float(1 / (hp.n_head * std::sqrt(double(hp.d_head))));
    if (!rpn_head_launch(a, RPN_STATE_F32, static_cast<CUstream_st *>(stream))) {
        // a map of no numbers, which the caller reports, instead of one that is not this question's
        cudaMemsetAsync(dst->data, 0xff, ggml_nbytes(dst), static_cast<cudaStream_t>(stream));
    }
}

bool rpn_head_cuda_register(ggml_custom_op_t fun) {
    using register_t = bool (*)(ggml_custom_op_t, ggml_backend_cuda_custom_supports_t, ggml_backend_cuda_custom_launch_t);
    ggml_backend_reg_t reg = ggml_backend_reg_by_name("CUDA");
    auto add = reg ? reinterpret_cast<register_t>(ggml_backend_reg_get_proc_address(reg, "ggml_backend_cuda_register_custom_op")) : nullptr;
    return add && add(fun, supports, launch);
}
