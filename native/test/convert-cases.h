#pragma once

// What the tests of the conversion share.

#include "checkpoint.h"
#include "convert/convert.h"
#include "test.h"

inline const test_sizes SMALL{ 64, 4, 4, 176, 3 }; // those of golden/rpn/llava-f32

inline sd_convert_params params(const std::string & checkpoint, const std::string & type = "f32") {
    sd_convert_params p;
    p.checkpoint = checkpoint;
    p.out = test_empty_dir("convert-out") + "/rpn.gguf";
    p.type = type;
    return p;
}

inline sd_convert_result convert(const sd_convert_params & p) {
    std::atomic<bool> cancel{ false };
    return sd_convert(p, cancel);
}
