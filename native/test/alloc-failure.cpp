#include "alloc-failure.h"

#include "ggml-backend.h"
#include "gguf.h"
#include "llama.h"
#include "mtmd.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

static std::atomic<bool> active{ false };
static std::atomic<int> failing{ ALLOC_NONE };
static std::atomic<size_t> fail_at{ 0 }, n_buffers{ 0 }, n_new{ 0 };
static thread_local int foreign = 0; // depth of calls into libraries

void alloc_start(alloc_kind kind, size_t index) {
    n_buffers = 0;
    n_new = 0;
    failing = kind;
    fail_at = index;
    active = true;
}

alloc_counts alloc_stop() {
    active = false;
    alloc_counts c;
    c.n_buffers = n_buffers;
    c.n_new = n_new;
    return c;
}

static bool fails(alloc_kind kind, std::atomic<size_t> & counter) {
    if (!active) {
        return false;
    }
    const size_t index = counter++;
    return failing == kind && (kind == ALLOC_NEW ? index == fail_at : index >= fail_at);
}

void * operator new(size_t size) {
    void * p = foreign == 0 && fails(ALLOC_NEW, n_new) ? nullptr : std::malloc(size ? size : 1);
    if (!p) {
        throw std::bad_alloc();
    }
    return p;
}

void operator delete(void * p) noexcept {
    std::free(p);
}

void operator delete(void * p, size_t) noexcept {
    std::free(p);
}

struct foreign_scope {
    foreign_scope() { foreign++; }
    ~foreign_scope() { foreign--; }
};

// the entries of the libraries that our code calls where memory is taken; CMakeLists.txt names them to the linker
#define FOREIGN(type, name, params, args) \
    extern "C" type __real_##name params; \
    extern "C" type __wrap_##name params { \
        foreign_scope scope; \
        return __real_##name args; \
    }

extern "C" ggml_backend_buffer_t __real_ggml_backend_buft_alloc_buffer(ggml_backend_buffer_type_t buft, size_t size);
extern "C" ggml_backend_buffer_t __wrap_ggml_backend_buft_alloc_buffer(ggml_backend_buffer_type_t buft, size_t size) {
    foreign_scope scope;
    return size > 0 && fails(ALLOC_BUFFER, n_buffers) ? nullptr : __real_ggml_backend_buft_alloc_buffer(buft, size);
}

FOREIGN(ggml_backend_t, ggml_backend_dev_init, (ggml_backend_dev_t dev, const char * params), (dev, params))
FOREIGN(bool, ggml_backend_sched_alloc_graph, (ggml_backend_sched_t sched, ggml_cgraph * graph), (sched, graph))
FOREIGN(enum ggml_status, ggml_backend_sched_graph_compute, (ggml_backend_sched_t sched, ggml_cgraph * graph), (sched, graph))
FOREIGN(gguf_context *, gguf_init_from_file_ptr, (FILE * file, gguf_init_params params), (file, params))
FOREIGN(llama_model *, llama_model_load_from_file, (const char * path, llama_model_params params), (path, params))
FOREIGN(llama_context *, llama_init_from_model, (llama_model * model, llama_context_params params), (model, params))
FOREIGN(int32_t, llama_decode, (llama_context * ctx, llama_batch batch), (ctx, batch))
FOREIGN(int32_t, llama_tokenize, (const llama_vocab * vocab, const char * text, int32_t n, llama_token * tokens, int32_t n_max, bool add, bool parse),
    (vocab, text, n, tokens, n_max, add, parse))
FOREIGN(int32_t, llama_token_to_piece, (const llama_vocab * vocab, llama_token token, char * buf, int32_t n, int32_t strip, bool special),
    (vocab, token, buf, n, strip, special))
FOREIGN(float *, llama_get_logits_ith, (llama_context * ctx, int32_t i), (ctx, i))
FOREIGN(bool, llama_memory_seq_rm, (llama_memory_t mem, llama_seq_id seq, llama_pos p0, llama_pos p1), (mem, seq, p0, p1))
FOREIGN(void, llama_memory_seq_cp, (llama_memory_t mem, llama_seq_id from, llama_seq_id to, llama_pos p0, llama_pos p1), (mem, from, to, p0, p1))
FOREIGN(void, llama_memory_clear, (llama_memory_t mem, bool data), (mem, data))
FOREIGN(llama_sampler *, llama_sampler_chain_init, (llama_sampler_chain_params params), (params))
FOREIGN(llama_sampler *, llama_sampler_init_greedy, (void), ())
FOREIGN(void, llama_sampler_chain_add, (llama_sampler * chain, llama_sampler * s), (chain, s))
FOREIGN(llama_token, llama_sampler_sample, (llama_sampler * s, llama_context * ctx, int32_t i), (s, ctx, i))
FOREIGN(mtmd_context *, mtmd_init_from_file, (const char * path, const llama_model * model, const mtmd_context_params params), (path, model, params))
FOREIGN(mtmd_bitmap *, mtmd_bitmap_init, (uint32_t nx, uint32_t ny, const unsigned char * data), (nx, ny, data))
FOREIGN(mtmd_input_chunks *, mtmd_input_chunks_init, (void), ())
FOREIGN(int32_t, mtmd_tokenize, (mtmd_context * ctx, mtmd_input_chunks * out, const mtmd_input_text * text, const mtmd_bitmap ** bitmaps, size_t n),
    (ctx, out, text, bitmaps, n))
FOREIGN(int32_t, mtmd_encode_chunk, (mtmd_context * ctx, const mtmd_input_chunk * chunk), (ctx, chunk))
