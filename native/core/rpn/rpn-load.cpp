#include "rpn-impl.h"

#include "backend.h"
#include "error.h"
#include "ggml-cpu.h"

#include <cmath>
#include <filesystem>
#include <fstream>

rpn_state::~rpn_state() {
    ggml_backend_buffer_free(buf);
    ggml_free(ctx);
}

size_t rpn_state::bytes() const {
    return buf ? ggml_backend_buffer_get_size(buf) : 0;
}

rpn_hidden::~rpn_hidden() {
    ggml_backend_buffer_free(buf);
    ggml_free(ctx);
}

size_t rpn_hidden::bytes() const {
    return buf ? ggml_backend_buffer_get_size(buf) : 0;
}

void rpn_deleter::operator()(rpn_net * net) const {
    delete net;
}

const rpn_hparams & rpn_get_hparams(const rpn_net * net) {
    return net->hp;
}

ggml_backend_device * rpn_get_device(const rpn_net * net) {
    return net->dev;
}

void rpn_read_hparams(const gguf_file & f, rpn_hparams & hp) {
    auto bad = [&](const std::string & why) { return sd_error("RPN_INVALID", "RPN file " + f.path + " " + why); };

    const std::string arch = f.str("general.architecture");
    if (arch != "sdrpn") {
        throw bad("has architecture " + arch + " instead of sdrpn: make it with `sd-rpn convert` or `sd-rpn distill train`");
    }
    hp.base_architecture = f.str("sdrpn.base_architecture");
    if (hp.base_architecture != "llama") {
        throw bad("belongs to the base architecture " + hp.base_architecture + ", but only llama is supported");
    }
    hp.branch    = f.u32("sdrpn.branch_layer");
    hp.n_block   = f.u32("sdrpn.block_count");
    hp.n_embd    = f.u32("sdrpn.embedding_length");
    hp.n_ff      = f.u32("sdrpn.feed_forward_length");
    hp.n_head    = f.u32("sdrpn.attention.head_count");
    hp.n_head_kv = f.u32_or("sdrpn.attention.head_count_kv", hp.n_head);
    hp.eps       = f.f32("sdrpn.attention.layer_norm_rms_epsilon");
    hp.rope_base = f.f32("sdrpn.rope.freq_base");
    hp.rope_type = f.u32_or("sdrpn.rope_type", 0);
    hp.threshold = f.f32_or("sdrpn.threshold", 0.0f);
    hp.base_name    = f.str_or("sdrpn.base.name", "");
    hp.base_n_layer = f.u32("sdrpn.base.block_count");
    hp.base_n_vocab = f.u32_or("sdrpn.base.vocab_size", 0);

    const bool sane = hp.n_embd > 0 && hp.n_embd <= 1 << 17 && hp.n_ff > 0 && hp.n_ff <= 1 << 20
        && hp.n_head > 0 && hp.n_head_kv > 0 && hp.n_head % hp.n_head_kv == 0 && hp.n_embd % hp.n_head == 0
        && hp.n_block >= 1 && hp.n_block <= 64 && hp.branch >= 1 && hp.branch < hp.base_n_layer
        && (hp.rope_type == GGML_ROPE_TYPE_NORMAL || hp.rope_type == GGML_ROPE_TYPE_NEOX)
        && std::isfinite(hp.eps) && hp.eps > 0 && std::isfinite(hp.rope_base) && hp.rope_base > 0
        && std::isfinite(hp.threshold) && std::fabs(hp.threshold) <= 1;
    if (!sane) {
        throw bad("has impossible sizes in its header: convert the checkpoint again");
    }
    hp.d_head   = hp.n_embd / hp.n_head;
    hp.rope_dim = f.u32_or("sdrpn.rope.dimension_count", hp.d_head);
    if (hp.rope_dim <= 0 || hp.rope_dim > hp.d_head || hp.rope_dim % 2 != 0) {
        throw bad(sd_format("has rope dimension %d for heads of width %d", hp.rope_dim, hp.d_head));
    }
}

rpn_ptr rpn_load(const std::string & path, ggml_backend_device * dev, int n_threads) {
    sd_backend_init();
    gguf_file f;
    gguf_file_open(f, path, "RPN", "RPN_INVALID");

    rpn_ptr net(new rpn_net);
    rpn_hparams & hp = net->hp;
    rpn_read_hparams(f, hp);

    net->dev = dev ? dev : sd_backend_cpu();
    net->ctx.reset(ggml_init({ size_t(hp.n_block) * 16 * ggml_tensor_overhead() + ggml_tensor_overhead() * 8, nullptr, true }));
    ggml_context * ctx = net->ctx.get();

    // a tensor like the file's, its shape checked
    std::vector<std::pair<ggml_tensor *, const ggml_tensor *>> todo;
    auto make = [&](const std::string & name, int64_t ne0, int64_t ne1) {
        const bool norm = ne1 == 0;
        const ggml_tensor * src = norm ? f.vector(name, ne0) : f.matrix(name, ne0, ne1);
        ggml_tensor * t = norm ? ggml_new_tensor_1d(ctx, src->type, ne0) : ggml_new_tensor_2d(ctx, src->type, ne0, ne1);
        ggml_set_name(t, name.c_str());
        todo.emplace_back(t, src);
        return t;
    };
    const int64_t n = hp.n_embd, nkv = int64_t(hp.n_head_kv) * hp.d_head;
    for (int il = 0; il < hp.n_block - 1; il++) {
        const std::string b = "blk." + std::to_string(il) + ".";
        rpn_layer l;
        l.attn_norm = make(b + "attn_norm.weight", n, 0);
        l.wq        = make(b + "attn_q.weight", n, n);
        l.wk        = make(b + "attn_k.weight", n, nkv);
        l.wv        = make(b + "attn_v.weight", n, nkv);
        l.wo        = make(b + "attn_output.weight", n, n);
        l.ffn_norm  = make(b + "ffn_norm.weight", n, 0);
        l.ffn_gate  = make(b + "ffn_gate.weight", n, hp.n_ff);
        l.ffn_up    = make(b + "ffn_up.weight", n, hp.n_ff);
        l.ffn_down  = make(b + "ffn_down.weight", hp.n_ff, n);
        net->layers.push_back(l);
    }
    const std::string b = "blk." + std::to_string(hp.n_block - 1) + ".";
    net->norm      = make("output_norm.weight", n, 0);
    net->head_norm = make(b + "attn_norm.weight", n, 0);
    net->head_wq   = make(b + "attn_q.weight", n, n);
    // No softmax and no RoPE stand between q and k, so s = (W_k^T q) . x: the key projection is kept transposed, and
    // no keys are ever computed. Quantised rows cannot be transposed; f16 holds them.
    const ggml_tensor * wk = f.matrix(b + "attn_k.weight", n, nkv);
    net->head_wk_t = ggml_new_tensor_2d(ctx, wk->type == GGML_TYPE_F32 ? GGML_TYPE_F32 : GGML_TYPE_F16, nkv, n);
    hp.type = ggml_type_name(net->layers.empty() ? net->head_wq->type : net->layers[0].wq->type);

    net->buf.reset(ggml_backend_alloc_ctx_tensors_from_buft(ctx, ggml_backend_dev_buffer_type(net->dev)));
    if (!net->buf) {
        throw sd_error("OUT_OF_MEMORY", "The weights of " + path + " do not fit into the memory of " + sd_backend_device(net->dev));
    }
    ggml_backend_buffer_set_usage(net->buf.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);

    std::ifstream in(std::filesystem::u8path(path), std::ios::binary);
    std::vector<char> raw;
    for (auto & [dst, src] : todo) {
        const int64_t id = gguf_find_tensor(f.ctx, src->name);
        raw.resize(ggml_nbytes(src));
        in.seekg(std::streamoff(gguf_get_data_offset(f.ctx) + gguf_get_tensor_offset(f.ctx, id)));
        if (!in.read(raw.data(), std::streamsize(raw.size()))) {
            throw sd_error("IO_ERROR", "RPN file " + path + " could not be read");
        }
        ggml_backend_tensor_set(dst, raw.data(), 0, raw.size());
    }
    {
        const std::vector<float> w = f.read_f32(wk);
        std::vector<float> t(w.size());
        for (int64_t r = 0; r < nkv; r++) {
            for (int64_t c = 0; c < n; c++) {
                t[c * nkv + r] = w[r * n + c];
            }
        }
        if (net->head_wk_t->type == GGML_TYPE_F32) {
            ggml_backend_tensor_set(net->head_wk_t, t.data(), 0, t.size() * sizeof(float));
        } else {
            std::vector<ggml_fp16_t> h(t.size());
            ggml_fp32_to_fp16_row(t.data(), h.data(), int64_t(t.size()));
            ggml_backend_tensor_set(net->head_wk_t, h.data(), 0, h.size() * sizeof(ggml_fp16_t));
        }
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
