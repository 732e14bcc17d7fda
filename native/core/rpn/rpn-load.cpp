#include "rpn-file.h"
#include "rpn-impl.h"

#include "backend.h"
#include "error.h"
#include "file.h"

#include "ggml-cpu.h"

void rpn_deleter::operator()(rpn_net * net) const {
    delete net;
}

const rpn_hparams & rpn_get_hparams(const rpn_net * net) {
    return net->hp;
}

ggml_backend_dev_t rpn_get_device(const rpn_net * net) {
    return net->dev;
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
    std::vector<rpn_file_tensor> files = rpn_file_tensors(hp, GGML_TYPE_F32);
    for (const rpn_file_tensor & t : rpn_gate_tensors(hp, GGML_TYPE_F32)) {
        files.push_back(t);
    }
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
    for (int il = 0; il < hp.n_gate_block; il++) {
        net->gate_blocks.push_back(rpn_gate_block_find(hp, il, by_name));
    }
    net->gate_weight = by_name("gate.output.weight"); // null without a gate
    net->gate_bias = by_name("gate.output.bias");
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
