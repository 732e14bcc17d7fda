#include "model.h"

#include "backend.h"
#include "error.h"
#include "gguf-file.h"
#include "log.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <thread>
#include <unordered_set>

static std::string piece(const llama_vocab * vocab, llama_token token) {
    const char * text = token == LLAMA_TOKEN_NULL ? nullptr : llama_vocab_get_text(vocab, token);
    return text ? text : "";
}

// llama.cpp asserts on a vocabulary with the same token twice, and at the first use of a model without one
static void check_vocab(const gguf_file & f) {
    const std::string tokens = "tokenizer.ggml.tokens";
    const std::string type = f.str("tokenizer.ggml.model");
    if (!f.has(tokens) || type == "none" || type == "no_vocab") {
        throw sd_error("MODEL_INVALID", "model file " + f.path + " has no vocabulary");
    }
    f.expect_array(tokens, GGUF_TYPE_STRING);
    f.expect_array("tokenizer.ggml.merges", GGUF_TYPE_STRING);
    const int64_t list = gguf_find_key(f.ctx, tokens.c_str());
    const size_t n = gguf_get_arr_n(f.ctx, list);
    std::unordered_set<std::string> seen;
    for (size_t i = 0; i < n; i++) {
        const std::string text = gguf_get_arr_str(f.ctx, list, i);
        // llama.cpp gives empty ones a name of their own
        if (!text.empty() && !seen.insert(text).second) {
            throw sd_error("MODEL_INVALID", "model file " + f.path + " has the token " + text + " twice");
        }
    }
}

void sd_model_check_header(const std::string & path, sd_model_info & info) {
    gguf_file f;
    gguf_file_open(f, path, "model", "MODEL_INVALID");
    gguf_file_check_splits(f);
    auto bad = [&](const std::string & why) { return sd_error("MODEL_INVALID", "model file " + path + " " + why); };

    info.architecture = f.str("general.architecture");
    if (info.architecture == "clip") {
        throw bad("is an mmproj file: pass it as mmproj, and the language model as model");
    }
    if (info.architecture == "sdrpn") {
        throw bad("is an RPN file: pass it as rpn, and the language model as model");
    }
    info.name = f.str_or("general.name", "");
    const std::string a = info.architecture + ".";
    const uint32_t n_embd = f.u32(a + "embedding_length"), n_layer = f.u32(a + "block_count"), n_head = f.u32(a + "attention.head_count");
    const uint32_t n_head_kv = f.u32_or(a + "attention.head_count_kv", n_head);
    if (n_embd == 0 || n_embd > 1 << 17 || n_layer == 0 || n_layer > 512 || n_head == 0 || n_head > n_embd || n_head_kv == 0 || n_head % n_head_kv != 0) {
        throw bad(sd_format("has width %u, %u layers, %u heads and %u key heads, which is no language model", n_embd, n_layer, n_head, n_head_kv));
    }
    const float eps = f.f32_or(a + "attention.layer_norm_rms_epsilon", 0.0f), rope_base = f.f32_or(a + "rope.freq_base", 10000.0f);
    if (!std::isfinite(eps) || eps < 0 || !std::isfinite(rope_base) || rope_base <= 0 || f.u32(a + "context_length") == 0) {
        throw bad(sd_format("has norm epsilon %g, rope base %g and context length %u, which is no language model", double(eps), double(rope_base),
            f.u32(a + "context_length")));
    }
    const uint32_t n_expert = f.u32_or(a + "expert_count", 0), n_used = f.u32_or(a + "expert_used_count", 0), n_group = f.u32_or(a + "expert_group_count", 0);
    if (n_expert > 1024 || n_used > n_expert || (n_expert > 0 && n_used == 0) || (n_group > 0 && n_group >= n_expert)) {
        throw bad(sd_format("has %u experts in %u groups and uses %u, which is no language model", n_expert, n_group, n_used));
    }
    // llama.cpp makes a value of its enum of it, unchecked; the greatest of those is LLAMA_FTYPE_GUESSED
    const uint32_t file_type = f.u32_or("general.file_type", 0);
    if (file_type > LLAMA_FTYPE_GUESSED) {
        throw bad(sd_format("is quantized by scheme %u, which is unknown", file_type));
    }
    check_vocab(f);
    info.n_embd = n_embd;
    info.n_layer = n_layer;
    info.n_head = n_head;
    info.n_head_kv = n_head_kv;
    info.n_ctx_train = int(std::min<uint32_t>(f.u32(a + "context_length"), 1u << 30));
    const uint64_t d_k = f.u32_or(a + "attention.key_length", n_embd / n_head), d_v = f.u32_or(a + "attention.value_length", n_embd / n_head);
    info.kv_bytes = uint64_t(n_layer) * n_head_kv * (d_k + d_v) * sizeof(ggml_fp16_t);
    if (f.has("tokenizer.chat_template")) {
        info.chat_template = f.str("tokenizer.chat_template");
    }
}

static void check_rpn_fits(const rpn_hparams & r, const sd_model_info & info, float rope_base, const std::string & path) {
    auto mismatch = [&](const char * what, double rpn, double model) {
        return sd_error("RPN_MISMATCH",
            sd_format("The RPN in %s was made for a model with %s %g, but this model's is %g: give the RPN that belongs to the model", path.c_str(), what, rpn,
                model));
    };
    if (info.architecture != r.base_architecture) {
        throw sd_error("RPN_MISMATCH",
            "The RPN in " + path + " was made for a model of architecture " + r.base_architecture + ", but this model's is " + info.architecture);
    }
    if (r.n_embd != info.n_embd) throw mismatch("embedding length", r.n_embd, info.n_embd);
    if (r.base_n_layer != info.n_layer) throw mismatch("block count", r.base_n_layer, info.n_layer);
    if (r.n_head != info.n_head) throw mismatch("head count", r.n_head, info.n_head);
    if (r.n_head_kv != info.n_head_kv) throw mismatch("key head count", r.n_head_kv, info.n_head_kv);
    if (std::fabs(r.rope_base - rope_base) > 1e-3f * rope_base) throw mismatch("rope base", r.rope_base, rope_base);
}

// The system promises memory that it does not have, and ends the process that uses it: so it is counted before. The model's own
// weights are mapped from the file and take none.
static void check_memory(const sd_model_params & params, const sd_model_info & info) {
    if (params.memory == 0) {
        return;
    }
    const int n_ctx = params.context_size > 0 ? params.context_size : std::min(4096, info.n_ctx_train);
    uint64_t need = uint64_t(n_ctx) * uint64_t(std::max(1, params.parallel)) * info.kv_bytes;
    for (const std::string & path : { params.mmproj, params.rpn }) {
        std::error_code ec;
        const uint64_t size = std::filesystem::file_size(std::filesystem::u8path(path), ec);
        need += ec ? 0 : size; // what is missing is told elsewhere
    }
    if (need > params.memory) {
        throw sd_error("OUT_OF_MEMORY",
            sd_format(
                "A context of %d tokens for %d at a time, with vision tower and RPN, takes at least %.0f MB but %.0f MB are free: use a smaller contextSize or parallel",
                n_ctx, std::max(1, params.parallel), double(need) / 1e6, double(params.memory) / 1e6));
    }
}

static float read_rope_base(const std::string & path, const std::string & arch) {
    gguf_file f;
    gguf_file_open(f, path, "model", "MODEL_INVALID");
    return f.f32_or(arch + ".rope.freq_base", 10000.0f);
}

// Threads meet at a barrier after every node of a graph. In a narrow model a node takes microseconds, less than the
// meeting, and where another program holds a core each meeting waits for the scheduler: one thread is faster there.
// Wide models get all cores but one, which the host's event loop needs, where there are more than two.
static int choose_threads(int n_embd) {
    const int cores = int(std::max(1u, std::thread::hardware_concurrency()));
    return n_embd < 1024 ? 1 : cores > 2 ? cores - 1 : cores;
}

sd_model::~sd_model() {
    vision.reset();
    llama_model_free(lm);
}

std::unique_ptr<sd_model> sd_model_load(const sd_model_params & params, const sd_cancel & cancel) {
    sd_backend_init();
    auto m = std::make_unique<sd_model>();
    m->params = params;
    sd_model_info & info = m->info;

    // cheap checks of every file first, so that a wrong RPN does not cost the loading of gigabytes
    sd_model_check_header(params.model, info);
    if (params.context_size > info.n_ctx_train) {
        throw sd_error("INVALID_ARGUMENT",
            sd_format("Expected a contextSize of at most %d tokens, since the model was trained with as many, but received %d", info.n_ctx_train,
                params.context_size));
    }
    info.n_threads = params.n_threads > 0 ? params.n_threads : choose_threads(info.n_embd);
    ggml_backend_dev_t gpu = params.gpu_layers == 0 ? nullptr : sd_backend_gpu();
    m->gpu = gpu;
    if (params.gpu_layers > 0 && !gpu) {
        throw sd_error("BACKEND_UNAVAILABLE",
            sd_format("Expected a GPU for gpuLayers %d but this build or machine has none: use gpuLayers 0 or \"auto\"", params.gpu_layers));
    }
    if (!gpu) {
        check_memory(params, info);
    }
    if (!params.rpn.empty()) {
        m->rpn = rpn_load(params.rpn, gpu, info.n_threads);
        check_rpn_fits(rpn_get_hparams(m->rpn.get()), info, read_rope_base(params.model, info.architecture), params.rpn);
    }

    llama_model_params mp = llama_model_default_params();
    mp.n_gpu_layers = gpu ? params.gpu_layers : 0;
    ggml_backend_dev_t no_devices[] = { nullptr };
    if (!gpu) {
        mp.devices = no_devices;
    }
    struct progress_state {
        const sd_model_params & p;
        const sd_cancel & c;
    } state = { params, cancel };
    mp.progress_callback_user_data = &state;
    mp.progress_callback = [](float done, void * user_data) {
        auto & s = *static_cast<progress_state *>(user_data);
        if (s.p.progress) {
            s.p.progress(0.85f * done); // the vision tower is the rest
        }
        return !s.c.load();
    };
    sd_log_take_error();
    m->lm = llama_model_load_from_file(params.model.c_str(), mp);
    if (cancel.load()) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
    if (!m->lm) {
        const std::string why = sd_log_take_error();
        throw sd_error(sd_log_about_memory(why) ? "OUT_OF_MEMORY" : "MODEL_INVALID", "model file " + params.model + " could not be loaded: " + why);
    }
    m->vocab = llama_model_get_vocab(m->lm);
    m->tokenizer = sd_tokenizer(m->vocab);

    sd_vision_params vp;
    vp.path = params.mmproj;
    vp.n_threads = info.n_threads;
    vp.use_gpu = gpu != nullptr;
    m->vision = sd_vision_load(vp, m->lm, llama_model_n_embd(m->lm));
    m->family = sd_family_make(*m->vision, m->lm);
    if (m->rpn) {
        const rpn_hparams & hp = rpn_get_hparams(m->rpn.get());
        m->family->check_rpn(hp, params.rpn);
        if (hp.kind == "sdrpn-qwen") {
            m->family->look = SD_LOOK_INSIDE; // SD-RPN nests the second look in the picture, its successor puts it behind
        }
        sd_tap_init(m->tap, m->family->states_after(hp.branch - 1), hp.branch);
    }
    if (params.progress) {
        params.progress(0.95f);
    }

    info.n_vocab = llama_vocab_n_tokens(m->vocab);
    info.n_ctx_train = llama_model_n_ctx_train(m->lm);
    info.context_size = params.context_size > 0 ? params.context_size : std::min(4096, info.n_ctx_train);
    info.parallel = std::max(1, params.parallel);
    info.add_bos = llama_vocab_get_add_bos(m->vocab);
    info.bos_text = piece(m->vocab, llama_vocab_bos(m->vocab));
    info.eos_text = piece(m->vocab, llama_vocab_eos(m->vocab));
    info.backend = sd_backend_name(gpu ? gpu : sd_backend_cpu());
    info.device = sd_backend_device(gpu ? gpu : sd_backend_cpu());
    info.llama_version = llama_version();
    info.ggml_version = ggml_version();
    return m;
}

void sd_check_cancel(const sd_model & m) {
    if (m.cancel && m.cancel->load(std::memory_order_relaxed)) {
        throw sd_error("ABORTED", "The operation was aborted");
    }
}

bool sd_abort_callback(void * model) {
    const sd_cancel * cancel = static_cast<const sd_model *>(model)->cancel;
    return cancel && cancel->load(std::memory_order_relaxed);
}
