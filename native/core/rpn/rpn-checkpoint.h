#pragma once

// Reads the RPN out of a published SD-RPN checkpoint (safetensors beside a config.json). The base model's
// tensors, most of the file, are not touched.

#include "rpn.h"
#include "safetensors.h"

struct rpn_checkpoint {
    std::string path;                          // as given
    rpn_hparams hp;                            // threshold and type are not in a checkpoint
    std::string name;                          // last part of the config's _name_or_path, else of the path
    std::vector<std::string> files;            // all files that belong to the checkpoint, read or not
    std::map<std::string, safetensor> tensors; // those of the RPN, by their names in an RPN file
};

// `path` is a directory, or one safetensors file with config.json beside it. Everything is checked here: sizes, names,
// shapes, types. Throws CHECKPOINT_INVALID.
void rpn_checkpoint_open(rpn_checkpoint & c, const std::string & path);

// The values of a tensor as an RPN file holds them: query and key rows of the full layers in llama.cpp's order. Throws
// CHECKPOINT_INVALID where a value is not finite, IO_ERROR.
std::vector<float> rpn_checkpoint_read(const rpn_checkpoint & c, const std::string & name);
