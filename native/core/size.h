#pragma once

// Width and height, of pixels or of cells.

struct sd_size {
    int width = 0, height = 0;

    int area() const { return width * height; }
    bool operator==(const sd_size & o) const { return width == o.width && height == o.height; }
    bool operator!=(const sd_size & o) const { return !(*this == o); }
};
