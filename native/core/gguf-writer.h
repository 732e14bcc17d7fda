#pragma once

// Writes GGUF files tensor by tensor, rows as they come, into a file beside the target that takes its name only when all is there.

#include "ggml.h"

#include <atomic>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

struct gguf_context;

struct gguf_out_tensor {
    std::string name;
    int64_t ne0 = 0; // width of a row
    int64_t ne1 = 0; // rows; 0: one-dimensional (norms, biases)
    ggml_type type = GGML_TYPE_F32;
    int64_t ne2 = 1, ne3 = 1;

    int64_t n_rows() const { return (ne1 ? ne1 : 1) * ne2 * ne3; }
    size_t n_bytes() const { return ggml_row_size(type, ne0) * size_t(n_rows()); }
};

struct gguf_writer {
    std::string what = "RPN file";        // for messages
    std::string path;                     // the target
    std::string temp;                     // what is written; empty when there is nothing to clean up
    std::vector<gguf_out_tensor> tensors; // in the order in which they are added
    std::vector<std::string> fallbacks;   // "blk.0.ffn_down.weight: q4_k -> q8_0"
    size_t n_done = 0;                    // tensors that have been added
    int64_t n_rows = 0;                   // of the next one
    uint64_t n_bytes = 0;                 // written so far
    int n_threads = 1;                    // that quantise
    std::ofstream out;
    const std::atomic<bool> * cancel = nullptr; // looked at between blocks of rows

    gguf_writer() = default;
    ~gguf_writer(); // removes the file unless gguf_writer_close has been reached
    gguf_writer(const gguf_writer &) = delete;
    gguf_writer & operator=(const gguf_writer &) = delete;
};

// Adds w.tensors to the header, and gives the size that the file will have.
uint64_t gguf_writer_size(const gguf_writer & w, gguf_context * header);

// Opens the file and writes the header, to which gguf_writer_size has added the tensors or which does so itself. Throws IO_ERROR.
void gguf_writer_begin(gguf_writer & w, const std::string & path, gguf_context * header);

// The next rows of tensors[n_done], the last of which completes it. Throws IO_ERROR, ABORTED.
void gguf_writer_add_rows(gguf_writer & w, const float * values, int64_t n_rows);

// All values of tensors[n_done], row by row.
void gguf_writer_add(gguf_writer & w, const std::vector<float> & values);

// All tensors are there: everything is in the file, which still has its temporary name. Throws IO_ERROR.
void gguf_writer_finish(gguf_writer & w);

// The file takes its name and replaces what was there; finishes it where that was not done. Throws IO_ERROR.
void gguf_writer_close(gguf_writer & w);
