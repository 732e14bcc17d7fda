#pragma once

// A small language model of any of the architectures whose layers can be run in parts, with random weights, and a region proposal
// network for it. There is no vision tower: whoever loads it gives it one, and a family.

#include "model.h"

#include <memory>
#include <string>

// qwen2vl or qwen3vl (with one deepstack layer); 4 layers of width 64, the network branches off after the second
std::unique_ptr<sd_model> tiny_model(const std::string & arch);
