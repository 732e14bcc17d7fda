#include "layout.h"

#include "error.h"
#include "vision.h"

#include <numeric>

sd_part sd_part_of(const sd_view & v, sd_size grid) {
    return { grid, v.masked, v.keep, v.aligned, v.box, v.picture };
}

static void add_tokens(sd_layout & l, const sd_family & f, const std::vector<llama_token> & tokens) {
    for (llama_token token : tokens) {
        sd_cell c;
        c.token = token;
        for (int r = 0; r < f.n_pos && r < 3; r++) { // of four rows the last one is not used
            c.pos[r] = l.next;
        }
        l.cells.push_back(c);
        l.next += f.pos_step;
    }
}

static void add_picture(sd_layout & l, const sd_family & f, const sd_part & part) {
    std::vector<int32_t> kept = part.keep;
    if (!part.masked) {
        kept.resize(part.grid.area());
        std::iota(kept.begin(), kept.end(), 0);
    }
    for (size_t i = 0; i < kept.size(); i++) {
        if (kept[i] < (i ? kept[i - 1] + 1 : 0) || kept[i] >= part.grid.area()) {
            throw sd_error("INVALID_ARGUMENT", sd_format("Expected ascending cells between 0 and %d in keep but received %d", part.grid.area() - 1, kept[i]));
        }
    }
    const size_t first = l.cells.size();
    l.cells.resize(first + kept.size());
    for (size_t i = 0; i < kept.size(); i++) {
        l.cells[first + i].picture = int(l.pictures.size());
        l.cells[first + i].row = l.n_rows++;
    }
    if (part.aligned && (part.picture < 0 || size_t(part.picture) >= l.pictures.size())) {
        throw sd_error(
            "INVALID_ARGUMENT", sd_format("Expected a picture between 0 and %zu for a second look but received %d", l.pictures.size() - 1, part.picture));
    }
    const sd_placed here = { l.next, part.grid };
    sd_cell * cells = l.cells.data() + first;
    l.next = part.aligned ? f.place_aligned(l.next, part.grid, kept, l.pictures[part.picture], part.box, cells) : f.place(l.next, part.grid, kept, cells);
    l.pictures.push_back(here);
}

sd_layout sd_layout_prefix(const sd_family & f, const std::vector<llama_token> & system, const sd_part & picture) {
    return sd_layout_prefix(f, system, std::vector<sd_part>{ picture }, {});
}

sd_layout sd_layout_prefix(const sd_family & f, const std::vector<llama_token> & system, const std::vector<sd_part> & pictures,
    const std::vector<std::vector<llama_token>> & between) {
    sd_layout l;
    add_tokens(l, f, system);
    for (size_t i = 0; i < pictures.size(); i++) {
        if (i > 0) {
            add_tokens(l, f, f.after);
            add_tokens(l, f, between[i - 1]);
        }
        add_tokens(l, f, f.before);
        add_picture(l, f, pictures[i]);
    }
    return l;
}

sd_layout sd_layout_question(const sd_family & f, const sd_layout & prefix, const std::vector<sd_part> & looks, const std::vector<llama_token> & question) {
    sd_layout l;
    l.next = prefix.next;
    l.pictures = prefix.pictures;
    if (f.look == SD_LOOK_BEHIND) {
        add_tokens(l, f, f.after);
    }
    for (const sd_part & look : looks) {
        add_tokens(l, f, f.look_before);
        add_picture(l, f, look);
        add_tokens(l, f, f.look_after);
    }
    if (f.look == SD_LOOK_INSIDE) {
        add_tokens(l, f, f.after);
    }
    add_tokens(l, f, question);
    return l;
}

int64_t sd_layout_question_size(const sd_family & f, const std::vector<sd_part> & looks, size_t n_question) {
    int64_t n = int64_t(f.after.size() + n_question);
    for (const sd_part & look : looks) {
        n += int64_t(f.look_before.size() + f.look_after.size()) + look.n_cells();
    }
    return n;
}

sd_layout sd_layout_tokens(const sd_family & f, const std::vector<llama_token> & tokens, llama_pos first) {
    sd_layout l;
    l.next = first;
    add_tokens(l, f, tokens);
    return l;
}

std::vector<int32_t> sd_layout_positions(const sd_family & f, const sd_layout & l, int n_rows) {
    std::vector<int32_t> pos;
    pos.reserve(size_t(n_rows) * l.cells.size());
    for (int r = 0; r < n_rows; r++) {
        for (const sd_cell & c : l.cells) {
            pos.push_back(c.pos[r] / f.pos_step);
        }
    }
    return pos;
}
