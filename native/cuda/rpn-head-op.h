#pragma once

// The fused head as a node of ggml's graph on a CUDA device: on the backend's own stream, without a copy or a wait of ours.

#include "ggml.h"

// To be called once, before any graph is planned: `fun` is the function of the node on the CPU (rpn_head_op). False where
// the program has no CUDA backend.
bool rpn_head_cuda_register(ggml_custom_op_t fun);
