#pragma once

// Writes RPN files: GGUF of the architecture "sdrpn", the one that rpn_load reads. Tensors go to the disk as they come,
// into a file beside the target that takes its name only when all is there.

#include "rpn.h"

#include "ggml.h"

#include <atomic>
#include <fstream>

struct gguf_context;

struct rpn_file_tensor {
    std::string name;
    int64_t ne0 = 0; // width of a row
    int64_t ne1 = 0; // rows; 0: one-dimensional (norms, biases, the gate's output)
    ggml_type type = GGML_TYPE_F32;

    int64_t n_rows() const { return ne1 ? ne1 : 1; }
};

// The tensors of a network of these sizes without its gate, in the order of the file, with the weights in `type`. Rows whose
// width the type's block does not divide fall back from q4_k to q8_0, and from that to f16; norms are always f32.
std::vector<rpn_file_tensor> rpn_file_tensors(const rpn_hparams & hp, ggml_type type);

// The tensors of its gate, which follow those in the file; none without a gate.
std::vector<rpn_file_tensor> rpn_gate_tensors(const rpn_hparams & hp, ggml_type type);

// "f32", "f16", "q8_0" or "q4_k"; anything else throws INVALID_ARGUMENT
ggml_type rpn_file_type(const std::string & name);

// llama.cpp's number of such a file, for general.file_type
uint32_t rpn_file_type_number(ggml_type type);

struct rpn_writer {
    std::string what = "RPN file";        // for messages
    std::string path;                     // the target
    std::string temp;                     // what is written; empty when there is nothing to clean up
    std::vector<rpn_file_tensor> tensors; // in the order in which rpn_writer_add takes them
    std::vector<std::string> fallbacks;   // "blk.0.ffn_down.weight: q4_k -> q8_0"
    size_t n_done = 0;                    // tensors that have been added
    uint64_t n_bytes = 0;                 // written so far
    std::ofstream out;
    const std::atomic<bool> * cancel = nullptr; // looked at between blocks of rows

    rpn_writer() = default;
    ~rpn_writer(); // removes the file unless rpn_writer_close has been reached
    rpn_writer(const rpn_writer &) = delete;
    rpn_writer & operator=(const rpn_writer &) = delete;
};

// Writes the header. hp.type is not looked at, hp.threshold 0 leaves the key out. Throws IO_ERROR.
void rpn_writer_open(rpn_writer & w, const std::string & path, const rpn_hparams & hp, const std::string & name, ggml_type type);

// The same for a file with more in it: `header` has such a file's keys from rpn_file_keys and others, tensors are those of `w`.
void rpn_writer_begin(rpn_writer & w, const std::string & path, gguf_context * header);

// The keys of an RPN file with weights of this type.
void rpn_file_keys(gguf_context * header, const rpn_hparams & hp, const std::string & name, ggml_type type);

// The values of tensors[n_done], row by row. Throws IO_ERROR, ABORTED.
void rpn_writer_add(rpn_writer & w, const std::vector<float> & values);

// All tensors are there: the file takes its name and replaces what was there. Throws IO_ERROR.
void rpn_writer_close(rpn_writer & w);
