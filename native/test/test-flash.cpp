// ggml's attention on a CPU, which native/patches change: against plain sums in double, for one query, a question's and a
// picture's; and that the result does not depend on where in the cache the cells lie, beside whatever else.

#include "test.h"

#include "ggml-cpu.h"
#include "ggml.h"

#include <cstring>
#include <random>
#include <vector>

struct problem {
    int d_k = 0, d_v = 0, n_head = 0, n_head_kv = 0, n_query = 0, n_cell = 0;
    float softcap = 0;
    std::vector<float> q, k, v; // [n_head][n_query][d_k], [n_head_kv][n_cell][d]; K and V hold values of F16
};

static float f16(float x) {
    return ggml_fp16_to_fp32(ggml_fp32_to_fp16(x));
}

static problem make_problem(int d_k, int d_v, int n_head, int n_head_kv, int n_query, int n_cell, float softcap = 0) {
    problem p;
    p.d_k = d_k, p.d_v = d_v, p.n_head = n_head, p.n_head_kv = n_head_kv, p.n_query = n_query, p.n_cell = n_cell, p.softcap = softcap;
    std::mt19937 rng(unsigned(d_k * 7 + n_query));
    auto fill = [&](std::vector<float> & x, size_t n, float size) {
        x.resize(n);
        for (float & value : x) {
            value = f16(size * float(rng() / 4294967296.0 * 2 - 1));
        }
    };
    fill(p.q, size_t(n_head) * n_query * d_k, 4);
    fill(p.k, size_t(n_head_kv) * n_cell * d_k, 1);
    fill(p.v, size_t(n_head_kv) * n_cell * d_v, 1);
    return p;
}

// query i sees the cells up to n_cell - n_query + i, as in a prompt that goes on
static bool visible(const problem & p, int query, int cell) {
    return cell <= p.n_cell - p.n_query + query;
}

static std::vector<float> plain(const problem & p) {
    std::vector<float> out(size_t(p.n_query) * p.n_head * p.d_v);
    for (int h = 0; h < p.n_head; h++) {
        const int hk = h / (p.n_head / p.n_head_kv);
        for (int i = 0; i < p.n_query; i++) {
            std::vector<double> w(p.n_cell, -INFINITY);
            double max = -INFINITY, sum = 0;
            for (int c = 0; c < p.n_cell && visible(p, i, c); c++) {
                double s = 0;
                for (int d = 0; d < p.d_k; d++) {
                    s += double(p.q[(size_t(h) * p.n_query + i) * p.d_k + d]) * p.k[(size_t(hk) * p.n_cell + c) * p.d_k + d];
                }
                s /= std::sqrt(double(p.d_k));
                w[c] = p.softcap > 0 ? p.softcap * std::tanh(s / p.softcap) : s;
                max = std::max(max, w[c]);
            }
            for (double & x : w) {
                x = std::exp(x - max);
                sum += x;
            }
            for (int d = 0; d < p.d_v; d++) {
                double y = 0;
                for (int c = 0; c < p.n_cell; c++) {
                    y += w[c] * p.v[(size_t(hk) * p.n_cell + c) * p.d_v + d];
                }
                out[(size_t(i) * p.n_head + h) * p.d_v + d] = float(y / sum);
            }
        }
    }
    return out;
}

// the cells in a cache of n_cache, the c-th at place[c]; all other cells hold garbage and are masked
static std::vector<float> run(const problem & p, int n_cache, const std::vector<int> & place, int n_threads) {
    ggml_init_params params = { size_t(256) << 20, nullptr, false };
    ggml_context * ctx = ggml_init(params);
    ggml_tensor * q = ggml_new_tensor_3d(ctx, GGML_TYPE_F32, p.d_k, p.n_query, p.n_head);
    ggml_tensor * k = ggml_new_tensor_3d(ctx, GGML_TYPE_F16, p.d_k, n_cache, p.n_head_kv);
    ggml_tensor * v = ggml_new_tensor_3d(ctx, GGML_TYPE_F16, p.d_v, n_cache, p.n_head_kv);
    ggml_tensor * mask = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, n_cache, p.n_query);
    memcpy(q->data, p.q.data(), p.q.size() * sizeof(float));
    auto put = [&](ggml_tensor * t, const std::vector<float> & from, int d) {
        auto * to = static_cast<ggml_fp16_t *>(t->data);
        std::fill(to, to + ggml_nelements(t), ggml_fp32_to_fp16(9.0f));
        for (int h = 0; h < p.n_head_kv; h++) {
            for (int c = 0; c < p.n_cell; c++) {
                for (int i = 0; i < d; i++) {
                    to[(size_t(h) * n_cache + place[c]) * d + i] = ggml_fp32_to_fp16(from[(size_t(h) * p.n_cell + c) * d + i]);
                }
            }
        }
    };
    put(k, p.k, p.d_k);
    put(v, p.v, p.d_v);
    auto * m = static_cast<ggml_fp16_t *>(mask->data);
    std::fill(m, m + ggml_nelements(mask), ggml_fp32_to_fp16(-INFINITY));
    for (int i = 0; i < p.n_query; i++) {
        for (int c = 0; c < p.n_cell; c++) {
            if (visible(p, i, c)) {
                m[size_t(i) * n_cache + place[c]] = ggml_fp32_to_fp16(0.0f);
            }
        }
    }
    ggml_tensor * out = ggml_flash_attn_ext(ctx, q, k, v, mask, 1 / std::sqrt(float(p.d_k)), 0, p.softcap);
    ggml_cgraph * graph = ggml_new_graph(ctx);
    ggml_build_forward_expand(graph, out);
    ggml_graph_compute_with_ctx(ctx, graph, n_threads);
    const auto * data = static_cast<const float *>(out->data);
    std::vector<float> result(data, data + ggml_nelements(out));
    ggml_free(ctx);
    return result;
}

static std::vector<int> from(int n, int first, int step = 1) {
    std::vector<int> place(n);
    for (int i = 0; i < n; i++) {
        place[i] = first + i * step;
    }
    return place;
}

static void check(const char * name, const problem & p) {
    printf("%s\n", name);
    const std::vector<float> expected = plain(p);
    for (int n_threads : { 1, 2 }) {
        const std::vector<float> alone = run(p, p.n_cell, from(p.n_cell, 0), n_threads);
        CHECK_LE(rel_l2(alone, expected), 2e-6);
        // behind others' cells, and between them
        const std::vector<float> behind = run(p, p.n_cell + 300, from(p.n_cell, 217), n_threads);
        CHECK_LE(rel_l2(behind, alone), 1e-6);
        const std::vector<float> between = run(p, 3 * p.n_cell, from(p.n_cell, 1, 3), n_threads);
        CHECK_LE(rel_l2(between, alone), 1e-6);
    }
}

int main() {
    return test_main("test-flash", [] {
        check("one query, heads of 128", make_problem(128, 128, 4, 4, 1, 700));
        check("one query, few cells", make_problem(128, 128, 2, 2, 1, 5));
        check("a question", make_problem(128, 128, 4, 2, 25, 333));
        check("a picture", make_problem(128, 128, 4, 4, 150, 420));
        check("heads of 48, as the demo model's", make_problem(48, 48, 4, 4, 25, 200));
        check("heads of 72 and 40", make_problem(72, 40, 2, 1, 3, 100));
        check("heads that no vector divides", make_problem(20, 12, 2, 2, 3, 100));
        check("capped scores", make_problem(64, 64, 2, 2, 9, 130, 2.0f));
    });
}
