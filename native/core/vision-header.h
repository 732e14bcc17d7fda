#pragma once

// The header of a vision tower's file, by the kind of tower. mtmd asserts on what these functions refuse.

#include "gguf-file.h"
#include "vision.h"

struct sd_tower_shape {
    int image_size = 0, patch_size = 0; // pixels
    int width = 0, n_head = 0, n_layer = 0;
};

// They fill what depends on the kind, and return the width of the projector's output. Throw MMPROJ_INVALID.
int64_t sd_vision_check_llava(const gguf_file & file, const sd_tower_shape & shape, sd_vision_info & info);
int64_t sd_vision_check_qwen(const gguf_file & file, const sd_tower_shape & shape, sd_vision_info & info);
