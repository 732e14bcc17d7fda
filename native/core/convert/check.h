#pragma once

// Opens written files again, as the library and llama.cpp do, but without their weights in memory.

#include <string>

// Throw CHECKPOINT_INVALID where the file cannot be opened, which says why.
void convert_check_model(const std::string & path, const std::string & checkpoint);
void convert_check_mmproj(const std::string & path, const std::string & checkpoint, int n_embd);
void convert_check_rpn(const std::string & path, const std::string & checkpoint);
