#pragma once

// Copies tensors of a checkpoint into a file, converting them on the way.

#include "plan.h"

// The keys of the files.
void convert_keys_model(gguf_context * header, const convert_config & config, const convert_vision & vision);
void convert_keys_mmproj(gguf_context * header, const convert_config & config, const convert_vision & vision);

// The types of matrices: those of llama.cpp's quantizer for the language model; f32 or f16 for the tower. `type`: "f32", "f16", "bf16",
// "q8_0" or "q4_k_m". Types that a key tells are written into the header.
void convert_types_model(convert_file & file, const convert_config & config, const std::string & type, gguf_context * header);
void convert_types_mmproj(convert_file & file, const std::string & type, gguf_context * header);

// Tensors whose rows `type` does not divide, with what they are in instead: "blk.0.ffn_down.weight: q4_k -> q8_0".
std::vector<std::string> convert_fallbacks(const convert_file & file, ggml_type type);

// Reads and writes all tensors of the file; `read` gets the bytes of each piece that was read. Throws CHECKPOINT_INVALID where a value is
// not finite, or too large for f16, IO_ERROR, ABORTED.
void convert_write(gguf_writer & w, const convert_file & file, const std::function<void(uint64_t bytes)> & read);
