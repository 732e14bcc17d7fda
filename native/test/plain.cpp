#include "plain.h"

#include <cmath>

using matrix = std::vector<std::vector<double>>;

static matrix mul(const test_tensors & net, const std::string & name, const matrix & x) {
    const test_tensor & t = net.at("model." + name + ".weight");
    const std::vector<float> w = test_values(t);
    matrix y(x.size(), std::vector<double>(t.shape[0], 0.0));
    for (size_t i = 0; i < x.size(); i++) {
        for (int64_t r = 0; r < t.shape[0]; r++) {
            for (int64_t c = 0; c < t.shape[1]; c++) {
                y[i][r] += double(w[r * t.shape[1] + c]) * x[i][c];
            }
        }
    }
    return y;
}

static matrix norm(const test_tensors & net, const std::string & name, const matrix & x) {
    const std::vector<float> w = test_values(net.at("model." + name + ".weight"));
    matrix y = x;
    for (auto & row : y) {
        double sum = 0;
        for (double v : row) {
            sum += v * v;
        }
        for (size_t c = 0; c < row.size(); c++) {
            row[c] *= w[c] / std::sqrt(sum / double(row.size()) + 1e-5);
        }
    }
    return y;
}

static void rope(matrix & x, int d) {
    for (size_t pos = 0; pos < x.size(); pos++) {
        for (size_t h = 0; h < x[pos].size(); h += d) {
            for (int i = 0; i < d / 2; i++) {
                const double a = double(pos) * std::pow(10000.0, -2.0 * i / d);
                double &u = x[pos][h + i], &v = x[pos][h + i + d / 2];
                const double u0 = u;
                u = u0 * std::cos(a) - v * std::sin(a);
                v = v * std::cos(a) + u0 * std::sin(a);
            }
        }
    }
}

static double dot(const std::vector<double> & a, int a0, const std::vector<double> & b, int b0, int n) {
    double s = 0;
    for (int i = 0; i < n; i++) {
        s += a[a0 + i] * b[b0 + i];
    }
    return s;
}

std::vector<double> plain_score(
    const test_tensors & net, const test_sizes & s, const std::vector<float> & hidden, int n_tokens, int img_start, int n_img, int i_query) {
    const int d = s.n_embd / s.n_head, group = s.n_head / s.n_head_kv;
    matrix x(n_tokens);
    for (int i = 0; i < n_tokens; i++) {
        x[i].assign(hidden.begin() + i * s.n_embd, hidden.begin() + (i + 1) * s.n_embd);
    }
    for (int il = 0; il < s.n_block - 1; il++) {
        const std::string b = "twig_layers." + std::to_string(il) + ".";
        const matrix n = norm(net, b + "input_layernorm", x);
        matrix q = mul(net, b + "self_attn.q_proj", n), k = mul(net, b + "self_attn.k_proj", n);
        const matrix v = mul(net, b + "self_attn.v_proj", n);
        rope(q, d);
        rope(k, d);
        matrix o(n_tokens, std::vector<double>(s.n_embd, 0.0));
        for (int i = 0; i < n_tokens; i++) {
            for (int h = 0; h < s.n_head; h++) {
                std::vector<double> p(i + 1);
                double sum = 0;
                for (int j = 0; j <= i; j++) {
                    sum += p[j] = std::exp(dot(q[i], h * d, k[j], h / group * d, d) / std::sqrt(double(d)));
                }
                for (int j = 0; j <= i; j++) {
                    for (int c = 0; c < d; c++) {
                        o[i][h * d + c] += p[j] / sum * v[j][h / group * d + c];
                    }
                }
            }
        }
        const matrix a = mul(net, b + "self_attn.o_proj", o);
        for (int i = 0; i < n_tokens; i++) {
            for (int c = 0; c < s.n_embd; c++) {
                x[i][c] += a[i][c];
            }
        }
        const matrix m = norm(net, b + "post_attention_layernorm", x);
        matrix gate = mul(net, b + "mlp.gate_proj", m);
        const matrix up = mul(net, b + "mlp.up_proj", m);
        for (int i = 0; i < n_tokens; i++) {
            for (int c = 0; c < s.n_ff; c++) {
                gate[i][c] *= up[i][c] / (1.0 + std::exp(-gate[i][c]));
            }
        }
        const matrix f = mul(net, b + "mlp.down_proj", gate);
        for (int i = 0; i < n_tokens; i++) {
            for (int c = 0; c < s.n_embd; c++) {
                x[i][c] += f[i][c];
            }
        }
    }
    const std::string b = "twig_layers." + std::to_string(s.n_block - 1) + ".";
    const matrix n = norm(net, b + "input_layernorm", norm(net, "twig_norm", x));
    const matrix q = mul(net, b + "self_attn.q_proj", n), k = mul(net, b + "self_attn.k_proj", n);
    std::vector<double> out(n_img);
    for (int j = 0; j < n_img; j++) {
        double sum = 0;
        for (int h = 0; h < s.n_head; h++) {
            sum += dot(q[i_query], h * d, k[img_start + j], h / group * d, d);
        }
        out[j] = sum / (s.n_head * std::sqrt(double(d)));
    }
    return out;
}

std::vector<float> plain_score_f32(
    const test_tensors & net, const test_sizes & s, const std::vector<float> & hidden, int n_tokens, int img_start, int n_img, int i_query) {
    const std::vector<double> v = plain_score(net, s, hidden, n_tokens, img_start, n_img, i_query);
    return std::vector<float>(v.begin(), v.end());
}
