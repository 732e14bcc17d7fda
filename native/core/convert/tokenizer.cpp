#include "tokenizer.h"

#include "config-reader.h"
#include "file.h"

#include "gguf.h"

#include <algorithm>
#include <unordered_map>

namespace fs = std::filesystem;
using json = nlohmann::json;

static const uint64_t MAX_BYTES = 128u << 20; // of tokenizer.json

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

// How Qwen's tokenizers cut text before they merge bytes; llama.cpp knows it as "qwen2".
static const char * const QWEN2_PATTERN = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

// collects tokens by id
struct builder {
    std::string path; // for messages
    convert_tokenizer t;
    std::vector<bool> known;
    std::unordered_map<std::string, int> ids;

    builder(const std::string & path, int n_vocab) : path(path), known(size_t(n_vocab)) {
        t.tokens.resize(size_t(n_vocab));
        t.types.assign(size_t(n_vocab), UNUSED);
    }

    int check_id(const json & id, const std::string & text) const {
        if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() >= double(known.size())) {
            throw checkpoint_invalid(path,
                "has " + checkpoint_shown(id) + " as number of the token " + text.substr(0, 60)
                    + sd_format(": expected one below the %zu of vocab_size in config.json", known.size()));
        }
        return id.get<int>();
    }

    void add(int id, const std::string & text, int type) {
        if (known[size_t(id)] && t.tokens[size_t(id)] != text) {
            throw checkpoint_invalid(
                path, "has two tokens of the number " + std::to_string(id) + ": " + t.tokens[size_t(id)].substr(0, 60) + " and " + text.substr(0, 60));
        }
        const auto [at, fresh] = ids.emplace(text, id);
        if (!fresh && at->second != id) {
            throw checkpoint_invalid(path, "has the token " + text.substr(0, 60) + " twice");
        }
        if (text.empty() || text.find('\0') != std::string::npos) { // GGUF's texts end at a zero
            throw checkpoint_invalid(path, "has a token without text, or with a zero in it, number " + std::to_string(id));
        }
        known[size_t(id)] = true;
        t.tokens[size_t(id)] = text;
        t.types[size_t(id)] = type;
    }

    // rows that the embedding has more than the tokenizer
    void pad() {
        for (size_t id = 0; id < known.size(); id++) {
            if (!known[id]) {
                add(int(id), "[PAD" + std::to_string(id) + "]", UNUSED);
            }
        }
    }

    int find(const std::string & text) const {
        const auto it = ids.find(text);
        return it == ids.end() ? -1 : it->second;
    }
};

const json & need(const json & j, const char * key, json::value_t type, const std::string & path, const char * what) {
    const auto it = j.find(key);
    if (it == j.end() || it->type() != type) {
        throw checkpoint_invalid(path, std::string("lacks the ") + what + " " + key + ": download it again");
    }
    return *it;
}

void add_added(builder & b, const json & list) {
    for (const json & a : list) {
        if (!a.is_object() || !a.contains("content") || !a["content"].is_string() || !a.contains("id")) {
            throw checkpoint_invalid(b.path, "has an entry of added_tokens without id or content");
        }
        const std::string text = a["content"].get<std::string>();
        const auto special = a.find("special");
        b.add(b.check_id(a["id"], text), text, special != a.end() && *special == true ? CONTROL : USER_DEFINED);
    }
}

// "a b", or ["a", "b"] in newer files
std::pair<std::string, std::string> merge_of(const json & m, const std::string & path) {
    std::pair<std::string, std::string> out;
    if (m.is_string()) {
        const std::string text = m.get<std::string>();
        const size_t space = text.find(' ', 1);
        out = { text.substr(0, space), space == std::string::npos ? "" : text.substr(space + 1) };
    } else if (m.is_array() && m.size() == 2 && m[0].is_string() && m[1].is_string()) {
        out = { m[0].get<std::string>(), m[1].get<std::string>() };
    }
    if (out.first.empty() || out.second.empty() || out.first.find(' ') != std::string::npos || out.second.find(' ') != std::string::npos) {
        throw checkpoint_invalid(path, "has a merge that is not two pieces of text: download it again");
    }
    return out;
}

// whether some part of a pre_tokenizer or decoder has the type; they come alone or in a sequence
const json * find_part(const json & j, const std::string & type, int depth = 0) {
    if (!j.is_object() || depth > 4) {
        return nullptr;
    }
    const auto own = j.find("type");
    if (own != j.end() && *own == type) {
        return &j;
    }
    for (const char * list : { "pretokenizers", "decoders", "normalizers" }) {
        const auto parts = j.find(list);
        for (size_t i = 0; parts != j.end() && parts->is_array() && i < parts->size(); i++) {
            if (const json * found = find_part((*parts)[i], type, depth + 1)) {
                return found;
            }
        }
    }
    return nullptr;
}

void check_qwen2(const json & j, const std::string & path) {
    static const json none;
    const auto it = j.find("pre_tokenizer");
    const json & pre = it == j.end() ? none : *it;
    const json * split = find_part(pre, "Split");
    const json::json_pointer regex("/pattern/Regex");
    if (!split || !find_part(pre, "ByteLevel") || !split->contains(regex) || split->at(regex) != QWEN2_PATTERN) {
        throw checkpoint_invalid(path, "cuts text otherwise than Qwen's tokenizers do (pre_tokenizer): only theirs is supported");
    }
}

// tokenizer.json of byte-level BPE, or of SentencePiece's BPE in the form of the tokenizers library
void read_json(builder & b, const json & j, convert_family family) {
    const json & model = need(j, "model", json::value_t::object, b.path, "object");
    if (checkpoint_given(model, "type") && model["type"] != "BPE") {
        throw checkpoint_invalid(b.path, "has a tokenizer of type " + checkpoint_shown(model["type"]) + ": expected \"BPE\"");
    }
    const bool spm = family == CONVERT_LLAVA;
    if (!spm) {
        check_qwen2(j, b.path);
    }
    for (const auto & [text, id] : need(model, "vocab", json::value_t::object, b.path, "object").items()) {
        const bool byte = spm && text.size() == 6 && text.rfind("<0x", 0) == 0 && text[5] == '>';
        b.add(b.check_id(id, text), text, byte ? BYTE : NORMAL);
    }
    const auto added = j.find("added_tokens");
    if (added != j.end() && added->is_array()) {
        add_added(b, *added);
    }

    const json & merges = need(model, "merges", json::value_t::array, b.path, "array");
    std::vector<float> scores(b.known.size(), -float(merges.size()) - 1); // of pieces that no merge makes
    std::vector<bool> scored(b.known.size());
    b.t.merges.reserve(spm ? 0 : merges.size());
    for (size_t rank = 0; rank < merges.size(); rank++) {
        const auto [first, second] = merge_of(merges[rank], b.path);
        const int id = b.find(first + second);
        if (id < 0 || b.find(first) < 0 || b.find(second) < 0) {
            throw checkpoint_invalid(
                b.path, "has a merge of " + first.substr(0, 60) + " and " + second.substr(0, 60) + ", which are not tokens: download it again");
        }
        if (!spm) {
            b.t.merges.push_back(first + " " + second);
        } else if (!scored[size_t(id)]) {
            scores[size_t(id)] = -float(rank); // SentencePiece merges what scores best first
            scored[size_t(id)] = true;
        }
    }
    if (spm) {
        const auto unk = model.find("unk_token");
        const int id = unk != model.end() && unk->is_string() ? b.find(unk->get<std::string>()) : -1;
        if (id >= 0) {
            b.t.types[size_t(id)] = UNKNOWN;
            scores[size_t(id)] = 0;
        }
        for (size_t i = 0; i < scores.size(); i++) {
            scores[i] = b.t.types[i] == NORMAL ? scores[i] : 0.0f;
        }
        b.t.scores = std::move(scores);
    }
}

void read_sentencepiece(builder & b, const fs::path & file) {
    const std::vector<sentencepiece> pieces = sentencepiece_read(file, b.known.size());
    b.t.scores.assign(b.known.size(), 0.0f);
    for (size_t id = 0; id < pieces.size(); id++) {
        b.add(int(id), pieces[id].text, pieces[id].type);
        b.t.scores[id] = pieces[id].score;
    }
}

// text that is no token comes as bytes, and llama.cpp has no answer where one is missing
void check_bytes(const builder & b) {
    for (int byte = 0; byte < 256; byte++) {
        const std::string text = sd_format("<0x%02X>", byte);
        const int id = b.find(text);
        if (id < 0 || b.t.types[size_t(id)] != BYTE) {
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
void add_more(builder & b, const json & config, const fs::path & dir) {
    const auto decoder = config.find("added_tokens_decoder");
    if (decoder != config.end() && decoder->is_object()) {
        for (const auto & [id, a] : decoder->items()) {
            const std::string text = token_text(*decoder, id.c_str());
            const json number = json::parse(id, nullptr, false);
            if (!text.empty() && b.find(text) < 0) {
                const auto special = a.find("special");
                b.add(b.check_id(number, text), text, special != a.end() && *special == true ? CONTROL : USER_DEFINED);
            }
        }
    }
    std::error_code ec;
    if (fs::exists(dir / "added_tokens.json", ec)) {
        const json added = checkpoint_json(dir / "added_tokens.json");
        for (const auto & [text, id] : added.items()) {
            if (b.find(text) < 0) {
                b.add(b.check_id(id, text), text, CONTROL); // questions cannot say it
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
        builder b((pieces ? spm : file).u8string(), n_vocab);
        if (pieces) {
            read_sentencepiece(b, spm);
            add_more(b, config, dir);
        } else {
            read_json(b, checkpoint_json(file, MAX_BYTES), c.family);
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
            t.unk = special("unk_token", int(std::find(t.types.begin(), t.types.end(), int32_t(UNKNOWN)) - t.types.begin()));
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
