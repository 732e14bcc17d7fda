#include "config-reader.h"

#include <cmath>

using json = nlohmann::json;

const json * config_reader::find(const char * key) const {
    for (const json * level : levels) {
        const auto it = level->find(key);
        if (it != level->end() && !it->is_null()) {
            return &*it;
        }
    }
    return nullptr;
}

sd_error config_reader::invalid(const char * key, const std::string & expected) const {
    const json * v = find(key);
    return v ? checkpoint_invalid(path, "has " + checkpoint_shown(*v) + " for " + key + ": expected " + expected)
             : checkpoint_invalid(path, std::string("lacks the key ") + key);
}

int config_reader::integer(const char * key, int max, int min) const {
    const json * v = find(key);
    // a double holds every int64 in the range of interest
    if (!v || !v->is_number_integer() || v->get<double>() < min || v->get<double>() > max) {
        throw invalid(key, sd_format("an integer between %d and %d", min, max));
    }
    return v->get<int>();
}

float config_reader::positive(const char * key) const {
    const json * v = find(key);
    if (!v || !v->is_number() || !(v->get<float>() > 0) || !std::isfinite(v->get<float>())) {
        throw invalid(key, "a positive number");
    }
    return v->get<float>();
}

float config_reader::number_or(const char * key, float fallback, float min, float max) const {
    const json * v = find(key);
    if (!v) {
        return fallback;
    }
    if (!v->is_number() || !(v->get<float>() >= min && v->get<float>() <= max)) {
        throw invalid(key, sd_format("a number between %g and %g", double(min), double(max)));
    }
    return v->get<float>();
}

bool config_reader::flag_or(const char * key, bool fallback) const {
    const json * v = find(key);
    if (v && !v->is_boolean()) {
        throw invalid(key, "true or false");
    }
    return v ? v->get<bool>() : fallback;
}

std::string config_reader::text_or(const char * key, const std::string & fallback) const {
    const json * v = find(key);
    return v && v->is_string() ? v->get<std::string>() : fallback;
}

std::vector<int> config_reader::integers(const char * key, size_t most, int max) const {
    const json * v = find(key);
    const std::string expected = sd_format("at most %zu integers between 0 and %d", most, max);
    if (!v || !v->is_array() || v->size() > most) {
        throw invalid(key, expected);
    }
    std::vector<int> out;
    for (const json & x : *v) {
        if (!x.is_number_integer() || x.get<double>() < 0 || x.get<double>() > max) {
            throw checkpoint_invalid(path, "has " + checkpoint_shown(x) + " in " + key + ": expected " + expected);
        }
        out.push_back(x.get<int>());
    }
    return out;
}

std::vector<float> config_reader::numbers(const char * key, size_t count) const {
    const json * v = find(key);
    const std::string expected = sd_format("%zu numbers", count);
    if (!v || !v->is_array() || v->size() != count) {
        throw invalid(key, expected);
    }
    std::vector<float> out;
    for (const json & x : *v) {
        if (!x.is_number() || !std::isfinite(x.get<float>())) {
            throw checkpoint_invalid(path, "has " + checkpoint_shown(x) + " in " + key + ": expected " + expected);
        }
        out.push_back(x.get<float>());
    }
    return out;
}

void config_reader::expect(const char * key, const json & value) const {
    const json * v = find(key);
    if (v && (v->is_structured() || *v != value)) {
        throw checkpoint_invalid(path, "has " + checkpoint_shown(*v) + " for " + key + ": only " + checkpoint_shown(value) + " is supported");
    }
}
