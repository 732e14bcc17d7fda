#pragma once

// The fused head on an NVIDIA GPU: one launch for the maps of several questions, on a stream of the caller's.

#include "rpn-head-args.h"

struct CUstream_st;

// Queues the kernel and returns; false where rpn_head_kernel_fits says no (nothing is queued then) or the launch fails.
bool rpn_head_launch(const rpn_head_args & args, rpn_state_type type, CUstream_st * stream);

// The same with another number of rows for each block (1, 2, 4 or 8): for measurements.
bool rpn_head_launch_rows(const rpn_head_args & args, rpn_state_type type, int rows, CUstream_st * stream);
