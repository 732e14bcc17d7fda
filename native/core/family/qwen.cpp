#include "family.h"

#include "error.h"
#include "rpn/rpn.h"
#include "vision.h"

#include <algorithm>
#include <cmath>

namespace {

// the side in cells of the view that is taken where any would do, such as in the choice of heads: 576 tokens, the references' budget
constexpr int USUAL_SIDE = 24;

// Positions are whole numbers in llama.cpp, but fractions where a second look shares those of the picture. So they are counted in
// parts of a token, and the context's rope scaled: by a power of two, which changes no bit of whole positions.
constexpr int PARTS = 4096;

// torch.linspace in float: from both ends to the middle
float linspace(float first, float last, int n, int i) {
    const float step = n > 1 ? (last - first) / float(n - 1) : 0.0f;
    return i < n / 2 ? first + step * float(i) : last - step * float(n - 1 - i);
}

struct family_qwen : sd_family {
    sd_vision_info tower;

    sd_size grid_of(sd_size view) const override { return tower.grid_of(view); }

    std::string states_after(int layer) const override {
        // the first layers are followed by what the tower's own layers add to the cells of pictures
        return (layer < tower.n_deepstack ? "deepstack_out-" : "l_out-") + std::to_string(layer);
    }

    // time, row and column; what follows goes on behind the longer side. Left-out cells leave gaps.
    llama_pos place(llama_pos first, sd_size grid, const std::vector<int32_t> & kept, sd_cell * cells) const override {
        for (size_t i = 0; i < kept.size(); i++) {
            cells[i].pos[0] = first;
            cells[i].pos[1] = first + kept[i] / grid.width * pos_step;
            cells[i].pos[2] = first + kept[i] % grid.width * pos_step;
        }
        return first + std::max(grid.width, grid.height) * pos_step;
    }

    // Rows and columns are spread over those of the box. Cells may meet at one place, where llama.cpp would let the former see the
    // latter: so each row and column is put one part behind the one before.
    llama_pos place_aligned(
        llama_pos first, sd_size grid, const std::vector<int32_t> & kept, const sd_placed & picture, const sd_cell_box & box, sd_cell * cells) const override {
        const int x1 = std::min(box.x1, picture.grid.width), y1 = std::min(box.y1, picture.grid.height);
        if (box.x0 < 0 || box.y0 < 0 || box.x0 >= x1 || box.y0 >= y1) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format("Expected a part of the picture's %d x %d cells but received (%d, %d) to (%d, %d)", picture.grid.width, picture.grid.height, box.x0,
                    box.y0, box.x1, box.y1));
        }
        const int p0 = picture.first / pos_step;
        auto part = [&](int from, int to, int n, int i) {
            return llama_pos(std::lround(double(linspace(float(p0 + from), float(p0 + to), n, i)) * pos_step)) + i;
        };
        for (size_t i = 0; i < kept.size(); i++) {
            cells[i].pos[0] = first;
            cells[i].pos[1] = part(box.y0, y1 - 1, grid.height, kept[i] / grid.width);
            cells[i].pos[2] = part(box.x0, x1 - 1, grid.width, kept[i] % grid.width);
        }
        return first + std::max(grid.width, grid.height) * pos_step;
    }

    void check_rpn(const rpn_hparams & hp, const std::string & path) const override {
        const bool qwen3 = tower.kind == SD_VISION_QWEN3;
        if (hp.kind != "qzoom" && (qwen3 || hp.kind != "sdrpn-qwen")) {
            throw sd_error("RPN_MISMATCH",
                "The RPN in " + path + " is of the kind " + hp.kind + ", which there is none of for " + name + ": give the RPN that belongs to the model");
        }
        if (!hp.rope_by_sections() || !hp.head_rope || hp.bias == qwen3 || hp.qk_norm != qwen3 || hp.rope_interleaved != qwen3) {
            throw sd_error("RPN_MISMATCH",
                "The RPN in " + path + " has not the parts of one for " + name
                    + (qwen3 ? ": norms of heads, no biases, interleaved positions in three dimensions, and a rotated head; "
                             : ": biases, no norms of heads, positions in three dimensions, and a rotated head; ")
                    + "give the RPN that belongs to the model");
        }
    }
};

// the token that a piece of markup is
llama_token control_token(const llama_vocab * vocab, const char * text) {
    llama_token tokens[2];
    if (llama_tokenize(vocab, text, int32_t(std::char_traits<char>::length(text)), tokens, 2, false, true) != 1) {
        throw sd_error("MODEL_INVALID", std::string("The model's vocabulary has no token ") + text + ", which stands around pictures in Qwen-VL's prompts");
    }
    return tokens[0];
}

} // namespace

std::unique_ptr<sd_family> sd_family_qwen(const sd_vision_info & vision, const llama_model * lm) {
    const bool qwen3 = vision.kind == SD_VISION_QWEN3;
    const llama_rope_type rope = llama_model_rope_type(lm);
    const int n_embd = llama_model_n_embd(lm), n_row = llama_model_n_embd_inp(lm);
    if (rope != (qwen3 ? LLAMA_ROPE_TYPE_IMROPE : LLAMA_ROPE_TYPE_MROPE)) {
        throw sd_error("MMPROJ_MISMATCH",
            std::string("The mmproj file has the vision tower of a ") + (qwen3 ? "Qwen3-VL" : "Qwen2.5-VL")
                + " model, but the language model has positions of another kind: give the mmproj file that belongs to the model");
    }
    if (n_row != vision.n_row()) {
        throw sd_error("MMPROJ_MISMATCH",
            sd_format("The vision tower gives %d vectors of width %d for each token, but the model takes %d: give the mmproj file that belongs to the model",
                1 + vision.n_deepstack, vision.n_embd, n_row / n_embd));
    }
    const llama_vocab * vocab = llama_model_get_vocab(lm);
    auto f = std::make_unique<family_qwen>();
    f->name = qwen3 ? "qwen3-vl" : "qwen2.5-vl";
    f->tower = vision;
    f->grid = { USUAL_SIDE, USUAL_SIDE };
    f->pixels = { USUAL_SIDE * vision.cell, USUAL_SIDE * vision.cell };
    f->n_pos = 4;
    f->pos_step = PARTS;
    while (int64_t(llama_model_n_ctx_train(lm)) * f->pos_step > INT32_MAX) {
        f->pos_step /= 2;
    }
    f->n_embd_row = n_row;
    f->before = f->look_before = { control_token(vocab, "<|vision_start|>") };
    f->after = f->look_after = { control_token(vocab, "<|vision_end|>") };
    f->look = SD_LOOK_BEHIND;
    return f;
}
