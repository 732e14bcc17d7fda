#pragma once

// Process-wide set-up of ggml, and which device a model runs on.

#include "ggml-backend.h"

#include <string>

// register the linked-in backends; safe to call any number of times
void sd_backend_init();

// the first GPU, or null when this build or machine has none
ggml_backend_dev_t sd_backend_gpu();

ggml_backend_dev_t sd_backend_cpu();

// "CPU", "CUDA", ... and the device's own name
std::string sd_backend_name(ggml_backend_dev_t dev);
std::string sd_backend_device(ggml_backend_dev_t dev);

// whether the device runs the node of the region proposal network's head (rpn/head.h) by a kernel of ours
bool sd_backend_has_head_kernel(ggml_backend_dev_t dev);
