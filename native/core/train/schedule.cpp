#include "schedule.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

double rpn_train_lr(double peak, int64_t step, int64_t n_steps, double warmup) {
    const int64_t n_warmup = int64_t(std::ceil(warmup * double(n_steps)));
    if (step < n_warmup) {
        return peak * double(step) / double(n_warmup);
    }
    const double pi = 3.14159265358979323846;
    const double progress = double(step - n_warmup) / double(std::max<int64_t>(1, n_steps - n_warmup));
    return peak * std::max(0.0, 0.5 * (1.0 + std::cos(pi * progress)));
}

std::vector<int32_t> rpn_train_order(int32_t n, uint32_t seed, uint32_t epoch) {
    std::vector<int32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    // the generators' sequences are fixed by the standard, those of std::shuffle are not
    std::seed_seq seq{ seed, epoch };
    std::mt19937_64 rng(seq);
    for (int32_t i = n - 1; i > 0; i--) {
        std::swap(order[i], order[rng() % uint64_t(i + 1)]);
    }
    return order;
}
