#include "family.h"

#include "error.h"
#include "rpn/rpn.h"
#include "vision.h"

namespace {

struct family_llava : sd_family {
    // one after the other, in the order of the grid; left-out cells leave no gap
    llama_pos place(llama_pos first, sd_size, const std::vector<int32_t> & kept, sd_cell * cells) const override {
        for (size_t i = 0; i < kept.size(); i++) {
            cells[i].pos[0] = first + llama_pos(i);
        }
        return first + llama_pos(kept.size());
    }

    void check_rpn(const rpn_hparams & hp, const std::string & path) const override {
        if (hp.kind != "llava") {
            throw sd_error("RPN_MISMATCH",
                "The RPN in " + path + " is of the kind " + hp.kind + ", which goes with Qwen-VL models only: give the RPN that belongs to the model");
        }
        if (hp.bias || hp.qk_norm || hp.rope_by_sections() || hp.head_rope) {
            throw sd_error("RPN_MISMATCH",
                "The RPN in " + path
                    + " has biases, norms of heads, positions in several dimensions or a rotated head, which LLaVA's have not: "
                      "give the RPN that belongs to the model");
        }
    }
};

} // namespace

std::unique_ptr<sd_family> sd_family_llava(const sd_vision_info & vision, const llama_model * lm) {
    auto f = std::make_unique<family_llava>();
    f->name = "llava-1.5";
    f->pixels = vision.pixels;
    f->grid = vision.grid;
    f->n_embd_row = llama_model_n_embd_inp(lm);
    return f;
}
