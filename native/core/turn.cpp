#include "turn.h"

#include <algorithm>
#include <utility>

sd_turn::~sd_turn() {
    sd_turn_forget(*this);
}

bool sd_turn_forget(sd_turn & t) {
    if (t.seq < 0) {
        return false;
    }
    sd_seq_release(t.cells, t.seq);
    t.seq = -1;
    t.looks.clear();
    t.tokens.clear();
    return true;
}

static bool same(const sd_view & a, const sd_view & b) {
    const auto &x = a.box, &y = b.box;
    const bool placed = a.aligned == b.aligned && (!a.aligned || (a.picture == b.picture && x.x0 == y.x0 && x.y0 == y.y0 && x.x1 == y.x1 && x.y1 == y.y1));
    return placed && a.width == b.width && a.height == b.height && a.masked == b.masked && a.keep == b.keep && a.rgb == b.rgb;
}

size_t sd_turn_common(const sd_turn & t, const std::vector<sd_view> & looks, const std::vector<llama_token> & question) {
    if (t.seq < 0 || question.empty() || !std::equal(t.looks.begin(), t.looks.end(), looks.begin(), looks.end(), same)) {
        return 0;
    }
    const size_t most = std::min(t.tokens.size(), question.size() - 1);
    return size_t(std::mismatch(t.tokens.begin(), t.tokens.begin() + most, question.begin()).first - t.tokens.begin());
}

llama_seq_id sd_turn_take(sd_turn & t, size_t n) {
    llama_memory_seq_rm(llama_get_memory(t.cells.ctx), t.seq, t.first + llama_pos(n) * t.cells.model.family->pos_step, -1);
    t.looks.clear();
    t.tokens.clear();
    return std::exchange(t.seq, -1);
}
