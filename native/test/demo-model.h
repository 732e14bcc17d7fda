#pragma once

// The demo model and its prompt, for the native tests.

#include "model.h"

#include <memory>
#include <string>
#include <vector>

// language model and vision tower on one CPU thread, without the RPN
std::unique_ptr<sd_model> demo_model();

// the text before the image, and after it
std::vector<llama_token> demo_system(const sd_model & m);
std::vector<llama_token> demo_question(const sd_model & m, const std::string & question);
