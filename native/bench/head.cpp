// Times the head of a region proposal network alone: as the library computes it, one dot product for each image token,
// against the general way, which projects the key of every image token and goes through the heads. Same weights, same
// states, in turn; both are compared too.
//
//   head --rpn FILE [--tokens 576] [--threads 1] [--runs 50]
//
// The sizes and the type are those of FILE. The library's own function is timed, with a network whose only block is the
// last one. The general way begins with states that are normed already, and its graph is built once: to its advantage.
// JSON on stdout: { "phases": { "head_fused": { "ms": [...], "median" }, "head_general": ... }, "difference": relative }

#include "synth-write.h"

#include "backend.h"
#include "error.h"
#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"

#include "ggml-alloc.h"
#include "ggml-cpu.h"
#include "nlohmann/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <random>

namespace fs = std::filesystem;
using json = nlohmann::json;

static const uint64_t SEED = 1;

static std::vector<float> random_values(const std::string & name, int64_t n, float deviation) {
    std::vector<float> v(n);
    synth_random(v.data(), n, SEED, name, 0, deviation);
    return v;
}

// a file whose network has nothing but the last block; gone at the end
struct one_block_file {
    std::string path;
    rpn_hparams hp;
    ggml_type   type;

    explicit one_block_file(const std::string & like) {
        rpn_ptr net = rpn_load(like, nullptr, 1);
        hp         = net->hp;
        type       = net->head_wq->type;
        hp.n_block = 1;
        path = (fs::temp_directory_path() / sd_format("sd-rpn-head-%08x.gguf", unsigned(std::random_device{}()))).generic_string();
        rpn_writer w;
        rpn_writer_open(w, path, hp, "head", type);
        for (const rpn_file_tensor & t : w.tensors) {
            rpn_writer_add(w, t.ne1 ? random_values(t.name, t.ne0 * t.ne1, 1 / std::sqrt(float(t.ne0))) : std::vector<float>(t.ne0, 1.0f));
        }
        rpn_writer_close(w);
    }
    ~one_block_file() {
        std::error_code ec;
        fs::remove(fs::u8path(path), ec);
    }
};

// q.k / sqrt(d), mean over the heads, with the keys of all image tokens
struct general_head {
    ggml_context_ptr        ctx;
    ggml_backend_ptr        backend;
    ggml_backend_buffer_ptr buf;
    ggml_cgraph *           gf = nullptr;
    ggml_tensor *wq, *wk, *x_img, *x_query, *scores;

    general_head(const rpn_hparams & hp, ggml_type type, int n_img, int n_threads) {
        ctx.reset(ggml_init({ 64 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
        backend.reset(ggml_backend_dev_init(sd_backend_cpu(), nullptr));
        ggml_backend_cpu_set_n_threads(backend.get(), n_threads);
        ggml_context * c = ctx.get();
        const int64_t n = hp.n_embd, d = hp.d_head, h = hp.n_head, h_kv = hp.n_head_kv;
        wq      = ggml_new_tensor_2d(c, type, n, d * h);
        wk      = ggml_new_tensor_2d(c, type, n, d * h_kv);
        x_img   = ggml_new_tensor_2d(c, GGML_TYPE_F32, n, n_img);
        x_query = ggml_new_tensor_2d(c, GGML_TYPE_F32, n, 1);

        ggml_tensor * q = ggml_reshape_3d(c, ggml_mul_mat(c, wq, x_query), d, 1, h);
        ggml_tensor * k = ggml_reshape_3d(c, ggml_mul_mat(c, wk, x_img), d, h_kv, n_img);
        k = ggml_permute(c, k, 0, 2, 1, 3);                          // [d, n_img, h_kv]
        ggml_tensor * s = ggml_mul_mat(c, k, q);                     // [n_img, 1, h]
        s = ggml_cont(c, ggml_permute(c, s, 1, 2, 0, 3));            // [h, n_img]
        scores = ggml_scale(c, ggml_sum_rows(c, s), 1.0f / (float(h) * std::sqrt(float(d))));
        gf = ggml_new_graph(c);
        ggml_build_forward_expand(gf, scores);
        buf.reset(ggml_backend_alloc_ctx_tensors(c, backend.get()));
        if (!buf) {
            throw sd_error("OUT_OF_MEMORY", "There is not enough memory for the general head");
        }
    }
    void set_weights(ggml_tensor * w, const std::string & name) {
        const std::vector<float> values = random_values(name, w->ne[0] * w->ne[1], 1 / std::sqrt(float(w->ne[0])));
        std::vector<char> raw(ggml_nbytes(w));
        ggml_quantize_chunk(w->type, values.data(), raw.data(), 0, w->ne[1], w->ne[0], nullptr);
        ggml_backend_tensor_set(w, raw.data(), 0, raw.size());
    }
    std::vector<float> compute() {
        ggml_backend_graph_compute(backend.get(), gf);
        std::vector<float> out(ggml_nelements(scores));
        ggml_backend_tensor_get(scores, out.data(), 0, out.size() * sizeof(float));
        return out;
    }
};

static json phase(std::vector<double> ms) {
    json out = { { "ms", ms } };
    std::sort(ms.begin(), ms.end());
    out["median"] = (ms[(ms.size() - 1) / 2] + ms[ms.size() / 2]) / 2;
    return out;
}

static json run(const std::string & rpn, int n_img, int n_threads, int runs) {
    const one_block_file file(rpn);
    const rpn_hparams & hp = file.hp;
    const int n_prefix = n_img + 1; // attention has no part in it: one token stands for all text before the image

    rpn_ptr net = rpn_load(file.path, nullptr, n_threads);
    const std::vector<float> states = random_values("states", int64_t(hp.n_embd) * (n_prefix + 1), 1);
    rpn_hidden hidden, query;
    rpn_state  state;
    rpn_hidden_reset(net.get(), hidden, n_prefix);
    rpn_hidden_set(hidden, states.data(), n_prefix);
    rpn_prefix(net.get(), hidden, 1, n_img, state);
    rpn_hidden_reset(net.get(), query, 1);
    rpn_hidden_set(query, states.data() + int64_t(hp.n_embd) * n_prefix, 1);

    general_head general(hp, file.type, n_img, n_threads);
    general.set_weights(general.wq, "blk.0.attn_q.weight");
    general.set_weights(general.wk, "blk.0.attn_k.weight");
    std::vector<float> x(ggml_nelements(state.x_img));
    ggml_backend_tensor_get(state.x_img, x.data(), 0, x.size() * sizeof(float));
    ggml_backend_tensor_set(general.x_img, x.data(), 0, x.size() * sizeof(float));
    // the query's norms, whose weights are 1, twice
    std::vector<float> q(states.end() - hp.n_embd, states.end());
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (float v : q) {
            sum += double(v) * v;
        }
        for (float & v : q) {
            v = float(v / std::sqrt(sum / hp.n_embd + hp.eps));
        }
    }
    ggml_backend_tensor_set(general.x_query, q.data(), 0, q.size() * sizeof(float));

    std::vector<double> ms_fused, ms_general;
    std::vector<float> a, b;
    for (int r = -3; r < runs; r++) { // the first ones warm up
        const int64_t start = ggml_time_us();
        a = rpn_query(net.get(), state, query);
        const int64_t middle = ggml_time_us();
        b = general.compute();
        const int64_t end = ggml_time_us();
        if (r >= 0) {
            ms_fused.push_back(double(middle - start) / 1000.0);
            ms_general.push_back(double(end - middle) / 1000.0);
        }
    }
    double difference = 0, size = 0;
    for (size_t i = 0; i < b.size(); i++) {
        difference += double(a[i] - b[i]) * (a[i] - b[i]);
        size += double(b[i]) * b[i];
    }
    return { { "phases", { { "head_fused", phase(ms_fused) }, { "head_general", phase(ms_general) } } }, { "difference", std::sqrt(difference / size) } };
}

int main(int argc, char ** argv) {
    try {
        std::string rpn;
        int tokens = 576, threads = 1, runs = 50;
        for (int i = 1; i < argc; i += 2) {
            const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
            int * number = name == "--tokens" ? &tokens : name == "--threads" ? &threads : name == "--runs" ? &runs : nullptr;
            if (name == "--rpn" && !value.empty()) {
                rpn = value;
            } else if (number && std::atoi(value.c_str()) > 0) {
                *number = std::atoi(value.c_str());
            } else {
                throw sd_error("INVALID_ARGUMENT", "Expected --rpn FILE and whole numbers above 0 for --tokens, --threads and --runs but received " + name + " " + value);
            }
        }
        sd_backend_init();
        printf("%s\n", run(rpn, tokens, threads, runs).dump(1).c_str());
        return 0;
    } catch (const sd_error & e) {
        fprintf(stderr, "head: %s: %s\n", e.code.c_str(), e.what());
    } catch (const std::exception & e) {
        fprintf(stderr, "head: %s\n", e.what());
    }
    return 1;
}
