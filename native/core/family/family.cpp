#include "family.h"

#include "error.h"
#include "vision.h"

sd_size sd_family::grid_of(sd_size size) const {
    if (size != pixels) {
        throw sd_error(
            "INVALID_ARGUMENT", sd_format("Expected a view of %d x %d pixels but received %d x %d", pixels.width, pixels.height, size.width, size.height));
    }
    return grid;
}

llama_pos sd_family::place_aligned(llama_pos, sd_size, const std::vector<int32_t> &, const sd_placed &, const sd_cell_box &, sd_cell *) const {
    throw sd_error("INVALID_ARGUMENT", "Models of the family " + name + " have no aligned positions: use roiPositions \"fresh\"");
}

float sd_family::rope_freq_scale(const llama_model * lm) const {
    return pos_step == 1 ? 0.0f : llama_model_rope_freq_scale_train(lm) / float(pos_step);
}

// the vision tower's header check lets no other towers pass
std::unique_ptr<sd_family> sd_family_make(const sd_vision_info & vision, const llama_model * lm) {
    return vision.kind == SD_VISION_LLAVA ? sd_family_llava(vision, lm) : sd_family_qwen(vision, lm);
}
