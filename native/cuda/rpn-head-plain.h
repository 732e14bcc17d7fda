#pragma once

// The fused head in plain loops: what the tests of its kernel compare with, on the host and on a GPU.

#include "rpn-head-args.h"

#include <cmath>
#include <cstdlib>
#include <vector>

struct rpn_head_expected {
    std::vector<double> logits, probabilities, blurred;
};

// What the kernel must compute for map number `map`, in double precision, from arguments that lie in host memory. to_float: of a T
template <typename T, typename F> rpn_head_expected rpn_head_plain(const rpn_head_args & a, int map, F to_float) {
    const int nc = a.n_cells();
    rpn_head_expected e;
    std::vector<double> & p = e.probabilities;
    for (int j = 0; j < nc; j++) {
        const T * x = reinterpret_cast<const T *>(static_cast<const char *>(a.x) + map * a.map_bytes + j * a.row_bytes);
        double sa = 0, sb = 0, sc = 0;
        for (int i = 0; i < a.n; i++) {
            const double v = to_float(x[i]), t = v * a.w_t[i];
            sa += v * v;
            sb += t * t;
            sc += t * a.w_in[i] * a.u[size_t(map) * a.n + i];
        }
        const double r1 = 1 / std::sqrt(sa / a.n + a.eps), r2 = 1 / std::sqrt(r1 * r1 * sb / a.n + a.eps);
        e.logits.push_back(r1 * r2 * sc * a.scale);
        p.push_back(1 / (1 + std::exp(-e.logits[j])));
    }
    // reflected borders, written apart from the kernel's own
    auto at = [&](int y, int x) {
        auto reflect = [](int i, int side) { return side == 1 ? 0 : std::abs(i) < side ? std::abs(i) : 2 * (side - 1) - i; };
        return p[reflect(y, a.height) * a.width + reflect(x, a.width)];
    };
    const double t = std::exp(-0.5), k[3] = { t / (1 + 2 * t), 1 / (1 + 2 * t), t / (1 + 2 * t) };
    for (int c = 0; c < nc; c++) {
        double s = 0;
        for (int dy = -1; dy <= 1; dy++) {
            for (int dx = -1; dx <= 1; dx++) {
                s += k[dy + 1] * k[dx + 1] * at(c / a.width + dy, c % a.width + dx);
            }
        }
        e.blurred.push_back(s);
    }
    return e;
}
