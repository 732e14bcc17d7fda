#include "family.h"

#include "error.h"

sd_size sd_family::grid_of(sd_size size) const {
    if (size != pixels) {
        throw sd_error(
            "INVALID_ARGUMENT", sd_format("Expected a view of %d x %d pixels but received %d x %d", pixels.width, pixels.height, size.width, size.height));
    }
    return grid;
}

// the vision tower's header check lets no other projectors pass
std::unique_ptr<sd_family> sd_family_make(const sd_vision_info & vision, int n_embd_row) {
    return sd_family_llava(vision, n_embd_row);
}
