#include "tokenizer-builder.h"

using json = nlohmann::json;

// How Qwen's tokenizers cut text before they merge bytes; llama.cpp knows it as "qwen2".
static const char * const QWEN2_PATTERN = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

tokenizer_builder::tokenizer_builder(const std::string & path, int n_vocab) : path(path), known(size_t(n_vocab)) {
    t.tokens.resize(size_t(n_vocab));
    t.types.assign(size_t(n_vocab), TOKEN_UNUSED);
}

int tokenizer_builder::check_id(const json & id, const std::string & text) const {
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() >= double(known.size())) {
        throw checkpoint_invalid(path,
            "has " + checkpoint_shown(id) + " as number of the token " + text.substr(0, 60)
                + sd_format(": expected one below the %zu of vocab_size in config.json", known.size()));
    }
    return id.get<int>();
}

void tokenizer_builder::add(int id, const std::string & text, int type) {
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

void tokenizer_builder::pad() {
    for (size_t id = 0; id < known.size(); id++) {
        if (!known[id]) {
            add(int(id), "[PAD" + std::to_string(id) + "]", TOKEN_UNUSED);
        }
    }
}

int tokenizer_builder::find(const std::string & text) const {
    const auto it = ids.find(text);
    return it == ids.end() ? -1 : it->second;
}

namespace {

const json & need(const json & j, const char * key, json::value_t type, const std::string & path, const char * what) {
    const auto it = j.find(key);
    if (it == j.end() || it->type() != type) {
        throw checkpoint_invalid(path, std::string("lacks the ") + what + " " + key + ": download it again");
    }
    return *it;
}

void add_added(tokenizer_builder & b, const json & list) {
    for (const json & a : list) {
        if (!a.is_object() || !a.contains("content") || !a["content"].is_string() || !a.contains("id")) {
            throw checkpoint_invalid(b.path, "has an entry of added_tokens without id or content");
        }
        const std::string text = a["content"].get<std::string>();
        const auto special = a.find("special");
        b.add(b.check_id(a["id"], text), text, special != a.end() && *special == true ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
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

} // namespace

void tokenizer_read_json(tokenizer_builder & b, const json & j, convert_family family) {
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
        b.add(b.check_id(id, text), text, byte ? TOKEN_BYTE : TOKEN_NORMAL);
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
            b.t.types[size_t(id)] = TOKEN_UNKNOWN;
            scores[size_t(id)] = 0;
        }
        for (size_t i = 0; i < scores.size(); i++) {
            scores[i] = b.t.types[i] == TOKEN_NORMAL ? scores[i] : 0.0f;
        }
        b.t.scores = std::move(scores);
    }
}
