#pragma once

// The config.json of a published SD-RPN checkpoint: which network it is, and its sizes.

#include "rpn-checkpoint.h"

#include "error.h"

#include "nlohmann/json.hpp"

#include <filesystem>

sd_error rpn_checkpoint_invalid(const std::string & path, const std::string & why);

// a file that holds a JSON object; throws CHECKPOINT_INVALID
nlohmann::json rpn_checkpoint_json(const std::filesystem::path & path);

// sizes and name of the checkpoint; throws CHECKPOINT_INVALID, also for a network that the converter does not know
void rpn_checkpoint_config(rpn_checkpoint & c, const std::filesystem::path & file);
