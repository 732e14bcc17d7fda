// Times the network's head alone, each kind (native/core/rpn/head.h) at several sizes of picture. `head --help` tells the options.
//
// first: what is kept of the picture, and the first question's map; next: another question's map; at once: the map without anything
// being kept, as RoIPredictor has it. Medians in ms of runs in turn, on random weights and states: no value changes the work.

#include "error.h"
#include "rpn/rpn-file.h"
#include "rpn/rpn.h"

#include "ggml.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>

static const char * HELP = "head [--width N (4096)] [--heads N (32)] [--kv-heads N (as heads)] [--threads N (1)] [--runs N (7)] [--type f32|f16|q8_0 (f16)]\n";

static std::vector<float> values(size_t n, float scale) {
    std::mt19937 rng(1);
    std::vector<float> out(n);
    for (float & v : out) {
        v = scale * float(rng() / 4294967296.0 * 2 - 1);
    }
    return out;
}

// a network of one block, which is nothing but the head
static rpn_ptr network(rpn_hparams hp, const std::string & type, int n_threads) {
    hp.n_ff = 2 * hp.n_embd;
    hp.n_block = 1;
    hp.branch = 1;
    hp.base_n_layer = 2;
    hp.base_architecture = "llama";
    hp.d_head = hp.rope_dim = hp.n_embd / hp.n_head;
    hp.eps = 1e-5f;
    hp.rope_base = 10000;
    const std::string path = (std::filesystem::temp_directory_path() / ("sd-rpn-head-" + std::to_string(std::random_device{}()) + ".gguf")).u8string();
    {
        rpn_writer w;
        rpn_writer_open(w, path, hp, "head", rpn_file_type(type));
        for (const rpn_file_tensor & t : w.tensors) {
            gguf_writer_add(w, values(size_t(t.ne0) * t.n_rows(), 0.02f));
        }
        gguf_writer_close(w);
    }
    rpn_ptr net = rpn_load(path, nullptr, n_threads);
    std::filesystem::remove(std::filesystem::u8path(path));
    return net;
}

static double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

static double ms(const std::function<void()> & body) {
    const int64_t start = ggml_time_us();
    body();
    return double(ggml_time_us() - start) / 1000;
}

static void measure(rpn_net * net, int n_cells, int runs) {
    const int n = n_cells + 1, width = rpn_get_hparams(net).n_embd;
    const std::vector<float> v = values(size_t(n) * width, 1);
    rpn_hidden states;
    rpn_hidden_reset(net, states, n);
    rpn_hidden_set(states, v.data(), n);

    const struct {
        rpn_head_kind kind;
        const char * name;
    } kinds[] = { { RPN_HEAD_FOLD, "fold" }, { RPN_HEAD_FUSED, "fused" }, { RPN_HEAD_KEYS, "keys" } };
    std::vector<double> first[3], next[3], at_once[3];
    size_t kept[3] = {};
    for (int r = -1; r < runs; r++) {
        for (int k = 0; k < 3; k++) {
            rpn_state image;
            const double t_first = ms([&] {
                rpn_head_image(net, states, 0, n_cells, image, {}, kinds[k].kind);
                rpn_head_map(net, image, states, n_cells);
            });
            const double t_next = ms([&] { rpn_head_map(net, image, states, n_cells); });
            const double t_once = ms([&] { rpn_score(net, states, 0, n_cells, n_cells, {}, kinds[k].kind); });
            kept[k] = image.bytes();
            if (r >= 0) { // the first run warms up
                first[k].push_back(t_first);
                next[k].push_back(t_next);
                at_once[k].push_back(t_once);
            }
        }
    }
    for (int k = 0; k < 3; k++) {
        printf(
            "| %d | %s | %.2f | %.2f | %.2f | %.1f |\n", n_cells, kinds[k].name, median(first[k]), median(next[k]), median(at_once[k]), double(kept[k]) / 1e6);
    }
    fflush(stdout);
}

int main(int argc, char ** argv) {
    rpn_hparams hp;
    hp.n_embd = 4096;
    hp.n_head = 32;
    int n_threads = 1, runs = 7;
    std::string type = "f16";
    for (int i = 1; i < argc; i += 2) {
        const std::string name = argv[i];
        const char * value = i + 1 < argc ? argv[i + 1] : nullptr;
        int * number = name == "--width" ? &hp.n_embd
            : name == "--heads"          ? &hp.n_head
            : name == "--kv-heads"       ? &hp.n_head_kv
            : name == "--threads"        ? &n_threads
            : name == "--runs"           ? &runs
                                         : nullptr;
        if (value && name == "--type") {
            type = value;
        } else if (value && number && atoi(value) > 0) {
            *number = atoi(value);
        } else {
            fputs(HELP, name == "--help" ? stdout : stderr);
            return name == "--help" ? 0 : 1;
        }
    }
    hp.n_head_kv = hp.n_head_kv ? hp.n_head_kv : hp.n_head;
    try {
        rpn_ptr net = network(hp, type, n_threads);
        printf("| cells | head | first question, ms | next question, ms | at once, ms | kept, MB |\n|---|---|---|---|---|---|\n");
        for (int n_cells : { 576, 2304, 16384 }) {
            measure(net.get(), n_cells, runs);
        }
    } catch (const sd_error & e) {
        fprintf(stderr, "%s: %s\n", e.code.c_str(), e.what());
        return 1;
    }
    return 0;
}
