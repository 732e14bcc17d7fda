#include "tokenizer.h"

#include "config-reader.h"
#include "file.h"
#include "tokenizer-builder.h"

#include "gguf.h"

#include <algorithm>

namespace fs = std::filesystem;
using json = nlohmann::json;

static const uint64_t MAX_BYTES = 128u << 20; // of tokenizer.json

namespace {

void read_sentencepiece(tokenizer_builder & b, const fs::path & file) {
    const std::vector<sentencepiece> pieces = sentencepiece_read(file, b.known.size());
    b.t.scores.assign(b.known.size(), 0.0f);
    for (size_t id = 0; id < pieces.size(); id++) {
        b.add(int(id), pieces[id].text, pieces[id].type);
        b.t.scores[id] = pieces[id].score;
    }
}

// text that is no token comes as bytes, and llama.cpp has no answer where one is missing
void check_bytes(const tokenizer_builder & b) {
    for (int byte = 0; byte < 256; byte++) {
        const std::string text = sd_format("<0x%02X>", byte);
        const int id = b.find(text);
        if (id < 0 || b.t.types[size_t(id)] != TOKEN_BYTE) {
            throw checkpoint_invalid(b.path, "lacks the token " + text + ": only tokenizers that fall back to bytes are supported");
        }
    }
}

// text of "eos_token" and the like: a string, or an object with its content
std::string token_text(const json & config, const char * key) {
    auto it = config.find(key);
    if (it != config.end() && it->is_object()) {
        const auto content = it->find("content");
        return content != it->end() && content->is_string() ? content->get<std::string>() : "";
    }
    return it != config.end() && it->is_string() ? it->get<std::string>() : "";
}

// what tokenizer_config.json and added_tokens.json add to a SentencePiece file
void add_more(tokenizer_builder & b, const json & config, const fs::path & dir) {
    const auto decoder = config.find("added_tokens_decoder");
    if (decoder != config.end() && decoder->is_object()) {
        for (const auto & [id, a] : decoder->items()) {
            const std::string text = token_text(*decoder, id.c_str());
            const json number = json::parse(id, nullptr, false);
            if (!text.empty() && b.find(text) < 0) {
                const auto special = a.find("special");
                b.add(b.check_id(number, text), text, special != a.end() && *special == true ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
            }
        }
    }
    std::error_code ec;
    if (fs::exists(dir / "added_tokens.json", ec)) {
        const json added = checkpoint_json(dir / "added_tokens.json");
        for (const auto & [text, id] : added.items()) {
            if (b.find(text) < 0) {
                b.add(b.check_id(id, text), text, TOKEN_CONTROL); // questions cannot say it
            }
        }
    }
}

std::string chat_template(const json & config, const fs::path & dir) {
    std::error_code ec;
    const fs::path jinja = dir / "chat_template.jinja";
    if (fs::exists(jinja, ec)) {
        sd_file in;
        if (sd_file_open(in, jinja.u8string()) != SD_FILE_OPEN || in.size > 1 << 20) {
            throw checkpoint_invalid(jinja.u8string(), in.stream ? "has more than 1 MB: download it again" : in.why);
        }
        std::string text(in.size, '\0');
        if (!in.read(&text[0], text.size())) {
            throw sd_error("IO_ERROR", "Checkpoint file " + jinja.u8string() + " could not be read");
        }
        return text;
    }
    const auto own = config.find("chat_template");
    if (own != config.end() && own->is_string()) {
        return own->get<std::string>();
    }
    for (size_t i = 0; own != config.end() && own->is_array() && i < own->size(); i++) {
        const json & each = (*own)[i]; // several by name
        if (each.is_object() && each.contains("name") && each["name"] == "default" && each.contains("template") && each["template"].is_string()) {
            return each["template"].get<std::string>();
        }
    }
    if (fs::exists(dir / "chat_template.json", ec)) {
        return token_text(checkpoint_json(dir / "chat_template.json"), "chat_template");
    }
    return "";
}

} // namespace

convert_tokenizer convert_tokenizer_read(const convert_config & c, const std::vector<fs::path> & dirs, int n_vocab) {
    std::error_code ec;
    for (const fs::path & dir : dirs) {
        const fs::path file = dir / "tokenizer.json", spm = dir / "tokenizer.model", own = dir / "tokenizer_config.json";
        const bool pieces = c.family == CONVERT_LLAVA && fs::exists(spm, ec);
        if (!pieces && !fs::exists(file, ec)) {
            continue;
        }
        const json config = fs::exists(own, ec) ? checkpoint_json(own) : json::object();
        tokenizer_builder b((pieces ? spm : file).u8string(), n_vocab);
        if (pieces) {
            read_sentencepiece(b, spm);
            add_more(b, config, dir);
        } else {
            tokenizer_read_json(b, checkpoint_json(file, MAX_BYTES), c.family);
        }
        b.pad();

        convert_tokenizer & t = b.t;
        t.model = c.family == CONVERT_LLAVA ? "llama" : "gpt2";
        t.pre = c.family == CONVERT_LLAVA ? "" : "qwen2";
        const auto special = [&](const char * key, int fallback) {
            const int id = b.find(token_text(config, key));
            return id >= 0 ? id : fallback < n_vocab ? fallback : -1;
        };
        t.bos = special("bos_token", c.bos_token);
        t.eos = special("eos_token", c.eos_token);
        t.pad = special("pad_token", c.pad_token);
        if (c.family == CONVERT_LLAVA) {
            t.unk = special("unk_token", int(std::find(t.types.begin(), t.types.end(), int32_t(TOKEN_UNKNOWN)) - t.types.begin()));
        }
        if (t.eos < 0) {
            throw checkpoint_invalid(
                dir.u8string(), "names no token that ends an answer: expected eos_token in tokenizer_config.json or eos_token_id in config.json");
        }
        const auto add_bos = config.find("add_bos_token");
        t.add_bos = add_bos != config.end() && add_bos->is_boolean() ? add_bos->get<bool>() : c.family == CONVERT_LLAVA;
        if (t.add_bos && t.bos < 0) { // llama.cpp would end the process at the first question
            throw checkpoint_invalid(
                dir.u8string(), "puts a token before every text (add_bos_token) but names none: expected bos_token in tokenizer_config.json");
        }
        if (c.family == CONVERT_LLAVA) {
            check_bytes(b);
        }
        t.chat_template = chat_template(config, dir);
        return std::move(t);
    }
    throw checkpoint_invalid(dirs.front().u8string(),
        c.family == CONVERT_LLAVA ? "holds neither tokenizer.model nor tokenizer.json: download one of them" : "holds no tokenizer.json: download it");
}

void convert_tokenizer_keys(gguf_context * g, const convert_tokenizer & t) {
    const auto texts = [&](const char * key, const std::vector<std::string> & list) {
        std::vector<const char *> p;
        for (const std::string & s : list) {
            p.push_back(s.c_str());
        }
        gguf_set_arr_str(g, key, p.data(), p.size());
    };
    const auto token = [&](const char * key, int id) {
        if (id >= 0) {
            gguf_set_val_u32(g, key, uint32_t(id));
        }
    };
    gguf_set_val_str(g, "tokenizer.ggml.model", t.model.c_str());
    if (!t.pre.empty()) {
        gguf_set_val_str(g, "tokenizer.ggml.pre", t.pre.c_str());
    }
    texts("tokenizer.ggml.tokens", t.tokens);
    if (!t.scores.empty()) {
        gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, t.scores.data(), t.scores.size());
    }
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, t.types.data(), t.types.size());
    if (!t.merges.empty()) {
        texts("tokenizer.ggml.merges", t.merges);
    }
    token("tokenizer.ggml.eos_token_id", t.eos);
    token("tokenizer.ggml.padding_token_id", t.pad);
    token("tokenizer.ggml.bos_token_id", t.bos);
    token("tokenizer.ggml.unknown_token_id", t.unk);
    gguf_set_val_bool(g, "tokenizer.ggml.add_bos_token", t.add_bos);
    if (t.model == "llama") {
        gguf_set_val_bool(g, "tokenizer.ggml.add_space_prefix", true);
    }
    if (!t.chat_template.empty()) {
        gguf_set_val_str(g, "tokenizer.chat_template", t.chat_template.c_str());
    }
}
