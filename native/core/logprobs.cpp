#include "logprobs.h"

#include <algorithm>
#include <cmath>

double sd_log_sum_exp(const float * logits, int n_vocab) {
    const float max = *std::max_element(logits, logits + n_vocab);
    double sum = 0;
    for (int i = 0; i < n_vocab; i++) {
        sum += std::exp(logits[i] - max); // in float: the logits are no more exact, and it takes a third of the time
    }
    return max + std::log(sum);
}

// the likeliest n tokens, likeliest first
static std::vector<llama_token> likeliest(const float * logits, int n_vocab, int n) {
    const auto before = [&](llama_token a, llama_token b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
    std::vector<llama_token> best;
    best.reserve(size_t(n) + 1);
    for (llama_token t = 0; t < n_vocab; t++) {
        if (int(best.size()) == n && !(logits[t] > logits[best.back()])) {
            continue; // nearly all
        }
        best.insert(std::upper_bound(best.begin(), best.end(), t, before), t);
        if (int(best.size()) > n) {
            best.pop_back();
        }
    }
    return best;
}

sd_token_logprobs sd_logprobs_of(const float * logits, int n_vocab, llama_token chosen, int n_top) {
    const double norm = sd_log_sum_exp(logits, n_vocab);
    sd_token_logprobs out;
    out.chosen = { chosen, logits[chosen] - norm };
    if (n_top > 0) {
        for (llama_token t : likeliest(logits, n_vocab, n_top)) {
            out.top.push_back({ t, logits[t] - norm });
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
