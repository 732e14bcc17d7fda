#pragma once

// Sizes and boxes, of pixels or of cells.

struct sd_size {
    int width = 0, height = 0;

    int area() const { return width * height; }
    bool operator==(const sd_size & o) const { return width == o.width && height == o.height; }
    bool operator!=(const sd_size & o) const { return !(*this == o); }
};

// the last ones excluded
struct sd_cell_box {
    int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};
