#pragma once

// The demo model and its prompt, for the native tests.

#include "cells.h"

#include <memory>
#include <string>
#include <vector>

// on CPU threads; context_size 0: the model's own
std::unique_ptr<sd_model> demo_model(bool with_rpn = false, int context_size = 0, int parallel = 1, int n_threads = 1);

// with its pool of cells
struct demo {
    std::unique_ptr<sd_model> model;
    std::unique_ptr<sd_cells> cells;
};

demo demo_load(bool with_rpn = false, int context_size = 0, int parallel = 1, int n_threads = 1);

// a view of square pixels
sd_view demo_view(std::vector<uint8_t> rgb);

// the text before the image, and after it
std::vector<llama_token> demo_system(const sd_model & m);
std::vector<llama_token> demo_question(const sd_model & m, const std::string & question);
