#include "logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

double sd_log_sum_exp(const float * logits, int n_vocab) {
    const double max = *std::max_element(logits, logits + n_vocab);
    double sum = 0;
    for (int i = 0; i < n_vocab; i++) {
        sum += std::exp(logits[i] - max);
    }
    return max + std::log(sum);
}

sd_token_logprobs sd_logprobs_of(const float * logits, int n_vocab, llama_token chosen, int n_top) {
    const double norm = sd_log_sum_exp(logits, n_vocab);
    sd_token_logprobs out;
    out.chosen = { chosen, logits[chosen] - norm };
    if (n_top > 0) {
        std::vector<llama_token> order(n_vocab);
        std::iota(order.begin(), order.end(), 0);
        const auto end = order.begin() + std::min(n_top, n_vocab);
        std::partial_sort(
            order.begin(), end, order.end(), [&](llama_token a, llama_token b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; });
        for (auto t = order.begin(); t != end; ++t) {
            out.top.push_back({ *t, logits[*t] - norm });
        }
    }
    return out;
}

double sd_end_logprob(const float * logits, const llama_vocab * vocab) {
    const int n_vocab = llama_vocab_n_tokens(vocab);
    std::vector<float> ends;
    for (llama_token t = 0; t < n_vocab; t++) {
        if (llama_vocab_is_eog(vocab, t)) {
            ends.push_back(logits[t]);
        }
    }
    return ends.empty() ? -INFINITY : sd_log_sum_exp(ends.data(), int(ends.size())) - sd_log_sum_exp(logits, n_vocab);
}
