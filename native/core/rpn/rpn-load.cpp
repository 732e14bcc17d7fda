#include "rpn-file.h"
#include "rpn-impl.h"

#include "backend.h"
#include "error.h"
#include "file.h"

#include "ggml-cpu.h"

#include <cmath>
#include <set>

void rpn_deleter::operator()(rpn_net * net) const {
    delete net;
}

const rpn_hparams & rpn_get_hparams(const rpn_net * net) {
    return net->hp;
}

ggml_backend_dev_t rpn_get_device(const rpn_net * net) {
    return net->dev;
}

static const char * KEY_HEAD_WIDTH = "sdrpn.attention.key_length";

static bool flag_or(const gguf_file & f, const std::string & key, bool fallback) {
    f.expect(key, GGUF_TYPE_BOOL);
    return f.has(key) ? gguf_get_val_bool(f.ctx, gguf_find_key(f.ctx, key.c_str())) : fallback;
}

// what a block is made of; what a file does not say is as in LLaVA-1.5
static void read_traits(const gguf_file & f, rpn_hparams & hp) {
    hp.bias = f.tensor("blk.0.attn_q.bias") != nullptr;
    hp.qk_norm = f.tensor("blk.0.attn_q_norm.weight") != nullptr;
    hp.head_rope = flag_or(f, "sdrpn.head_rope", false);
    hp.head_norm = flag_or(f, "sdrpn.head_norm", true);
    hp.rope_interleaved = flag_or(f, "sdrpn.rope_interleaved", false);
    const std::string key = "sdrpn.rope.dimension_sections";
    f.expect_array(key, GGUF_TYPE_INT32);
    if (!f.has(key)) {
        return;
    }
    const int64_t i = gguf_find_key(f.ctx, key.c_str());
    const int32_t * v = static_cast<const int32_t *>(gguf_get_arr_data(f.ctx, i));
    const size_t n = gguf_get_arr_n(f.ctx, i);
    // llama.cpp's files have a fourth section, of no pairs in these models
    bool ok = n == 3 || (n == 4 && v[3] == 0);
    for (size_t s = 0; ok && s < 3; s++) {
        ok = v[s] > 0 && v[s] <= 1 << 12;
        hp.rope_sections[s] = v[s];
    }
    if (!ok) {
        throw sd_error("RPN_INVALID", "RPN file " + f.path + " has other rope sections than one for each of time, height and width");
    }
}

void rpn_read_hparams(const gguf_file & f, rpn_hparams & hp) {
    auto bad = [&](const std::string & why) { return sd_error("RPN_INVALID", "RPN file " + f.path + " " + why); };

    const std::string arch = f.str("general.architecture");
    if (arch != "sdrpn") {
        throw bad("has architecture " + arch + " instead of sdrpn: make it with `sd-rpn convert` or `sd-rpn distill train`");
    }
    hp.base_architecture = f.str("sdrpn.base_architecture");
    static const std::set<std::string> known = { "llama", "qwen2vl", "qwen3vl" };
    if (!known.count(hp.base_architecture)) {
        throw bad("belongs to the base architecture " + hp.base_architecture + ", but only llama, qwen2vl and qwen3vl are supported");
    }
    hp.branch = f.u32("sdrpn.branch_layer");
    hp.n_block = f.u32("sdrpn.block_count");
    hp.n_embd = f.u32("sdrpn.embedding_length");
    hp.n_ff = f.u32("sdrpn.feed_forward_length");
    hp.n_head = f.u32("sdrpn.attention.head_count");
    hp.n_head_kv = f.u32_or("sdrpn.attention.head_count_kv", hp.n_head);
    hp.eps = f.f32("sdrpn.attention.layer_norm_rms_epsilon");
    hp.rope_base = f.f32("sdrpn.rope.freq_base");
    hp.rope_type = f.u32_or("sdrpn.rope_type", 0);
    hp.threshold = f.f32_or("sdrpn.threshold", 0.0f);
    hp.base_name = f.str_or("sdrpn.base.name", "");
    hp.base_n_layer = f.u32("sdrpn.base.block_count");
    hp.base_n_vocab = f.u32_or("sdrpn.base.vocab_size", 0);

    const bool sane = hp.n_embd > 0 && hp.n_embd <= 1 << 17 && hp.n_ff > 0 && hp.n_ff <= 1 << 20 && hp.n_head > 0 && hp.n_head_kv > 0
        && hp.n_head % hp.n_head_kv == 0 && hp.n_head <= 1 << 12 && hp.n_block >= 1 && hp.n_block <= 64 && hp.branch >= 1 && hp.branch < hp.base_n_layer
        && (hp.rope_type == GGML_ROPE_TYPE_NORMAL || hp.rope_type == GGML_ROPE_TYPE_NEOX) && std::isfinite(hp.eps) && hp.eps > 0 && std::isfinite(hp.rope_base)
        && hp.rope_base > 0 && std::isfinite(hp.threshold) && std::fabs(hp.threshold) <= 1;
    const bool even = f.has(KEY_HEAD_WIDTH) || (hp.n_head > 0 && hp.n_embd % hp.n_head == 0);
    if (!sane || !even) {
        throw bad("has impossible sizes in its header: convert the checkpoint again");
    }
    hp.d_head = f.u32_or(KEY_HEAD_WIDTH, hp.n_embd / hp.n_head);
    if (hp.d_head <= 0 || hp.d_head > 1 << 12) {
        throw bad(sd_format("has heads of width %d", hp.d_head));
    }
    read_traits(f, hp);
    hp.rope_dim = f.u32_or("sdrpn.rope.dimension_count", hp.d_head);
    const int n_pairs = hp.rope_sections[0] + hp.rope_sections[1] + hp.rope_sections[2];
    if (hp.rope_dim < 0 || hp.rope_dim > hp.d_head || hp.rope_dim % 2 != 0 || (hp.rope_by_sections() && n_pairs != hp.rope_dim / 2)) {
        throw bad(sd_format("has rope dimension %d and sections of %d pairs together for heads of width %d", hp.rope_dim, n_pairs, hp.d_head));
    }
}

// dst [n_out, n_in] of f32 or f16 from the file's [n_in, n_out]
static void set_transposed(const gguf_file & f, const ggml_tensor * src, ggml_tensor * dst) {
    const std::vector<float> w = f.read_f32(src);
    const int64_t n_in = src->ne[0], n_out = src->ne[1];
    std::vector<float> t(w.size());
    for (int64_t r = 0; r < n_out; r++) {
        for (int64_t c = 0; c < n_in; c++) {
            t[c * n_out + r] = w[r * n_in + c];
        }
    }
    if (dst->type == GGML_TYPE_F32) {
        ggml_backend_tensor_set(dst, t.data(), 0, t.size() * sizeof(float));
    } else {
        std::vector<ggml_fp16_t> h(t.size());
        ggml_fp32_to_fp16_row(t.data(), h.data(), int64_t(t.size()));
        ggml_backend_tensor_set(dst, h.data(), 0, h.size() * sizeof(ggml_fp16_t));
    }
}

rpn_head_place rpn_net::head_place() const {
    return host() ? RPN_HEAD_ON_HOST : sd_backend_has_head_kernel(dev) ? RPN_HEAD_ON_KERNEL_DEVICE : RPN_HEAD_ON_DEVICE;
}

rpn_ptr rpn_load(const std::string & path, ggml_backend_dev_t dev, int n_threads) {
    sd_backend_init();
    gguf_file f;
    gguf_file_open(f, path, "RPN", "RPN_INVALID");

    rpn_ptr net(new rpn_net);
    rpn_hparams & hp = net->hp;
    rpn_read_hparams(f, hp);

    net->dev = dev ? dev : sd_backend_cpu();
    const std::vector<rpn_file_tensor> files = rpn_file_tensors(hp, GGML_TYPE_F32);
    net->ctx = rpn_context(files.size());
    ggml_context * ctx = net->ctx.get();

    // tensors like the file's, their shapes checked. Of a head that needs no keys the key projection is kept transposed: the
    // query goes through it, not the image. Quantised rows cannot be transposed; f16 holds them.
    const bool fold = rpn_head_allows(hp, RPN_HEAD_FOLD, RPN_HEAD_ON_DEVICE);
    const std::string head_key = "blk." + std::to_string(hp.n_block - 1) + ".attn_k.weight";
    std::vector<std::pair<ggml_tensor *, const ggml_tensor *>> todo;
    const ggml_tensor * wk = nullptr;
    for (const rpn_file_tensor & t : files) {
        const ggml_tensor * src = t.ne1 ? f.matrix(t.name, t.ne0, t.ne1) : f.vector(t.name, t.ne0);
        if (fold && t.name == head_key) {
            wk = src;
            net->head.wk_t = ggml_new_tensor_2d(ctx, src->type == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16, t.ne1, t.ne0);
            continue;
        }
        ggml_tensor * dst = t.ne1 ? ggml_new_tensor_2d(ctx, src->type, t.ne0, t.ne1) : ggml_new_tensor_1d(ctx, src->type, t.ne0);
        ggml_set_name(dst, t.name.c_str());
        todo.emplace_back(dst, src);
    }
    auto by_name = [&](const std::string & name) { return ggml_get_tensor(ctx, name.c_str()); }; // null: the transposed one
    for (int il = 0; il < hp.n_block - 1; il++) {
        net->blocks.push_back(rpn_block_find(hp, il, by_name));
    }
    net->head.block = rpn_block_find(hp, hp.n_block - 1, by_name);
    net->head.norm = hp.head_norm ? by_name("output_norm.weight") : nullptr;
    hp.type = ggml_type_name(by_name("blk.0.attn_q.weight")->type);

    net->buf = rpn_place(net->dev, ctx, "the weights of " + path);
    ggml_backend_buffer_set_usage(net->buf.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);

    sd_file in;
    if (sd_file_open(in, path) != SD_FILE_OPEN) {
        throw sd_error("IO_ERROR", "RPN file " + path + " " + in.why);
    }
    std::vector<char> raw;
    for (auto & [dst, src] : todo) {
        const int64_t id = gguf_find_tensor(f.ctx, src->name);
        raw.resize(ggml_nbytes(src));
        if (!in.read_at(gguf_get_data_offset(f.ctx) + gguf_get_tensor_offset(f.ctx, id), raw.data(), raw.size())) {
            throw sd_error("IO_ERROR", "RPN file " + path + " could not be read");
        }
        ggml_backend_tensor_set(dst, raw.data(), 0, raw.size());
    }
    if (wk) {
        set_transposed(f, wk, net->head.wk_t);
    }

    net->backend.reset(ggml_backend_dev_init(net->dev, nullptr));
    if (!net->backend) {
        throw sd_error("BACKEND_UNAVAILABLE", "The device " + sd_backend_device(net->dev) + " could not be started");
    }
    std::vector<ggml_backend_t> backends = { net->backend.get() };
    if (net->dev != sd_backend_cpu()) {
        net->backend_cpu.reset(ggml_backend_dev_init(sd_backend_cpu(), nullptr));
        backends.push_back(net->backend_cpu.get());
    }
    ggml_backend_cpu_set_n_threads(backends.back(), n_threads);
    net->sched.reset(ggml_backend_sched_new(backends.data(), nullptr, int(backends.size()), 4096, false, true));
    return net;
}
