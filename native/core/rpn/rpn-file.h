#pragma once

// Writes RPN files: GGUF of the architecture "sdrpn", the one that rpn_load reads.

#include "gguf-writer.h"
#include "rpn.h"

struct gguf_context;

using rpn_file_tensor = gguf_out_tensor;
using rpn_writer = gguf_writer;

// The tensors of a network of these sizes without its gate, in the order of the file, with the weights in `type`. Rows whose
// width the type's block does not divide fall back from q4_k to q8_0, and from that to f16; norms are always f32.
std::vector<rpn_file_tensor> rpn_file_tensors(const rpn_hparams & hp, ggml_type type);

// The tensors of its gate, which follow those in the file; none without a gate.
std::vector<rpn_file_tensor> rpn_gate_tensors(const rpn_hparams & hp, ggml_type type);

// "f32", "f16", "bf16", "q8_0" or "q4_k"; anything else throws INVALID_ARGUMENT
ggml_type rpn_file_type(const std::string & name);

// llama.cpp's number of such a file, for general.file_type
uint32_t rpn_file_type_number(ggml_type type);

// Writes the header. hp.type is not looked at, hp.threshold 0 leaves the key out. Throws IO_ERROR.
void rpn_writer_open(rpn_writer & w, const std::string & path, const rpn_hparams & hp, const std::string & name, ggml_type type);

// The keys of an RPN file with weights of this type.
void rpn_file_keys(gguf_context * header, const rpn_hparams & hp, const std::string & name, ggml_type type);
