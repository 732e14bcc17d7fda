#pragma once

// Makes one allocation fail, for tests of what is left behind. Two kinds are counted:
//
//   backend buffers: every ggml_backend_buft_alloc_buffer, ours and llama.cpp's, gives null (the linker's --wrap puts us before it)
//   operator new: throws std::bad_alloc, but not inside llama.cpp, ggml and mtmd, whose own C++ does not survive it everywhere
//
// ggml's malloc (contexts, graphs, hash tables) is left alone: it ends the process where there is no memory.

#include <cstddef>

struct alloc_counts {
    size_t n_buffers = 0, n_new = 0;
};

enum alloc_kind { ALLOC_NONE, ALLOC_BUFFER, ALLOC_NEW };

// Counts from 0 on. Of operator new the one with this number fails; of buffers it and those after it, since ggml tries again.
void alloc_start(alloc_kind kind = ALLOC_NONE, size_t index = 0);

// what was counted since; nothing fails any more
alloc_counts alloc_stop();
