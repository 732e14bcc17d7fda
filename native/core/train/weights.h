#pragma once

// Where training starts: the values of a network, from an RPN file or from the base model's own layers.

#include "rpn/rpn.h"

#include <map>
#include <string>
#include <vector>

struct rpn_weights {
    rpn_hparams hp;
    std::string name;                                  // general.name of the files made from it
    std::map<std::string, std::vector<float>> tensors; // by their names in an RPN file, row by row, f32; with the gate's
};

// Any RPN file, dequantised. Throws MODEL_NOT_FOUND, RPN_INVALID, IO_ERROR.
rpn_weights rpn_weights_load(const std::string & path);

// Layers branch..branch+n_block-1 and the output norm of a language model of the architecture llama, any
// quantisation. Throws MODEL_NOT_FOUND, MODEL_INVALID, INVALID_ARGUMENT where the model is not that deep, IO_ERROR.
rpn_weights rpn_weights_from_base(const std::string & path, int branch, int n_block);
