#pragma once

// Reads values of a config.json, from the object that has them: sizes of the language model may stand in one of their own.

#include "checkpoint.h"

#include "nlohmann/json.hpp"

struct config_reader {
    std::string path;
    std::vector<const nlohmann::json *> levels; // looked at in this order

    // the value of a key, null where it is absent or null
    const nlohmann::json * find(const char * key) const;

    bool has(const char * key) const { return find(key) != nullptr; }

    // Values of their types; they throw CHECKPOINT_INVALID where the key is absent or its value is another.
    int integer(const char * key, int max, int min = 1) const;
    float positive(const char * key) const;
    int integer_or(const char * key, int fallback, int max, int min = 1) const { return has(key) ? integer(key, max, min) : fallback; }
    float number_or(const char * key, float fallback, float min, float max) const;
    bool flag_or(const char * key, bool fallback) const;
    std::string text_or(const char * key, const std::string & fallback) const;
    std::vector<int> integers(const char * key, size_t most, int max) const;
    std::vector<float> numbers(const char * key, size_t count) const;

    // throws where the key is given with another value
    void expect(const char * key, const nlohmann::json & value) const;

    sd_error invalid(const char * key, const std::string & expected) const;
};
