#include "checkpoint.h"

#include "file.h"

#include "nlohmann/json.hpp"

#include <algorithm>

namespace fs = std::filesystem;
using json = nlohmann::json;

sd_error checkpoint_invalid(const std::string & path, const std::string & why) {
    return sd_error("CHECKPOINT_INVALID", "Checkpoint " + path + " " + why);
}

json checkpoint_json(const fs::path & path, uint64_t max_bytes) {
    sd_file in;
    if (sd_file_open(in, path.u8string()) != SD_FILE_OPEN) {
        throw checkpoint_invalid(path.u8string(), in.why + ": a checkpoint is a directory with config.json and .safetensors files");
    }
    if (in.size > max_bytes) {
        throw checkpoint_invalid(
            path.u8string(), sd_format("has %llu bytes, which is no file of a checkpoint: download it again", (unsigned long long) in.size));
    }
    json j = json::parse(in.stream, nullptr, false);
    if (!j.is_object()) {
        throw checkpoint_invalid(path.u8string(), "is not a JSON object: download it again");
    }
    return j;
}

std::string checkpoint_shown(const json & v) {
    if (v.is_structured()) {
        return v.is_array() ? "an array" : "an object";
    }
    return v.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60);
}

bool checkpoint_given(const json & j, const char * key) {
    const auto it = j.find(key);
    return it != j.end() && !it->is_null();
}

std::string checkpoint_last_part(const std::string & path) {
    const size_t end = path.find_last_not_of("/\\");
    if (end == std::string::npos) {
        return "";
    }
    const size_t begin = path.find_last_of("/\\", end);
    return path.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

std::string checkpoint_plain_name(const std::string & name) {
    std::string out = name;
    bool again = true;
    while (again) {
        again = false;
        for (const std::string prefix : { "model.", "language_model.", "vision_tower." }) {
            if (out.rfind(prefix, 0) == 0) {
                out.erase(0, prefix.size());
                again = true;
            }
        }
    }
    // LLaVA in the form of the transformers library
    for (const char * layer : { "1", "2" }) {
        const std::string from = std::string("multi_modal_projector.linear_") + layer + ".";
        if (out.rfind(from, 0) == 0) {
            out = (layer[0] == '1' ? "mm_projector.0." : "mm_projector.2.") + out.substr(from.size());
        }
    }
    return out;
}

namespace {

struct opener {
    checkpoint & c;
    const std::function<bool(const std::string &)> & wanted;

    void collect(const fs::path & file) {
        for (auto & [name, t] : safetensors_open(file.u8string())) {
            const std::string plain = checkpoint_plain_name(name);
            if (!wanted(plain)) {
                continue;
            }
            const auto [at, fresh] = c.tensors.emplace(plain, t);
            if (!fresh) { // two checkpoints in one directory: taking either would be a guess
                throw checkpoint_invalid(c.path,
                    "holds " + name + " twice, in " + at->second.path + " and in " + t.path
                        + ": give the one file instead of the directory, or delete the other");
            }
        }
    }

    void from_index(const fs::path & index) {
        c.files.push_back(index.u8string());
        const json j = checkpoint_json(index, 64u << 20);
        const auto map = j.find("weight_map");
        if (map == j.end() || !map->is_object()) {
            throw checkpoint_invalid(index.u8string(), "lacks the object weight_map: download it again");
        }
        std::map<std::string, bool> shards; // and whether they are read
        for (const auto & [name, shard] : map->items()) {
            if (!shard.is_string()) {
                throw checkpoint_invalid(index.u8string(), "names no file for the tensor " + name);
            }
            shards[shard.get<std::string>()] |= wanted(checkpoint_plain_name(name));
        }
        std::error_code ec;
        for (const auto & [shard, read] : shards) {
            // an index comes with the checkpoint; it has no business elsewhere
            if (shard.empty() || fs::u8path(shard).filename().u8string() != shard || shard == "..") {
                throw checkpoint_invalid(index.u8string(), "names the file " + shard.substr(0, 200) + ", which is not one beside it: download it again");
            }
            const fs::path file = c.dir / fs::u8path(shard);
            c.files.push_back(file.u8string());
            if (read && !fs::exists(file, ec)) {
                throw checkpoint_invalid(c.path, "lacks the file " + shard + " that model.safetensors.index.json names: download it");
            }
            if (read) {
                collect(file);
            }
        }
    }

    void from_directory() {
        std::vector<fs::path> files;
        std::error_code ec;
        for (const auto & entry : fs::directory_iterator(c.dir, ec)) {
            if (entry.path().extension() == ".safetensors") {
                files.push_back(entry.path());
            }
        }
        std::sort(files.begin(), files.end());
        if (files.empty()) {
            throw checkpoint_invalid(c.path, "holds no .safetensors files: checkpoints in other formats have to be saved as safetensors first");
        }
        for (const fs::path & file : files) {
            c.files.push_back(file.u8string());
            collect(file);
        }
    }
};

} // namespace

checkpoint checkpoint_at(const std::string & path) {
    checkpoint c;
    c.path = path;
    const fs::path p = fs::u8path(path);
    std::error_code ec;
    if (!fs::exists(p, ec)) {
        throw checkpoint_invalid(path, "does not exist: check the path");
    }
    const bool is_dir = fs::is_directory(p, ec);
    const std::string obstacle = is_dir ? "" : sd_file_obstacle(path);
    if (!obstacle.empty()) {
        throw checkpoint_invalid(path, obstacle + ": give a directory with config.json and .safetensors files, or one such file");
    }
    c.dir = is_dir ? p : p.parent_path();
    c.files.push_back((c.dir / "config.json").u8string());
    return c;
}

void checkpoint_open(checkpoint & c, const std::function<bool(const std::string &)> & wanted) {
    opener o{ c, wanted };
    std::error_code ec;
    const fs::path p = fs::u8path(c.path), index = c.dir / "model.safetensors.index.json";
    if (!fs::is_directory(p, ec)) {
        c.files.push_back(c.path);
        o.collect(p);
    } else if (fs::exists(index, ec)) {
        o.from_index(index);
    } else {
        o.from_directory();
    }
}
