#include "vocab-file.h"

#include "backend.h"
#include "error.h"

#include "gguf.h"

#include <algorithm>

llama_token test_vocab::id(const std::string & token) const {
    const auto at = std::find(tokens.begin(), tokens.end(), token);
    return at == tokens.end() ? -1 : llama_token(at - tokens.begin());
}

void test_vocab::add(const std::string & token, llama_token_type type) {
    if (id(token) < 0) {
        scores.push_back(-float(tokens.size()));
        tokens.push_back(token);
        types.push_back(type);
    }
}

void test_vocab::merge(const std::string & left, const std::string & right) {
    add(left);
    add(right);
    add(left + right);
    merges.push_back(left + " " + right);
}

void test_vocab::write(const std::string & path) const {
    gguf_context * g = gguf_init_empty();
    gguf_set_val_str(g, "general.architecture", "llama");
    gguf_set_val_str(g, "general.name", name.c_str());
    gguf_set_val_str(g, "tokenizer.ggml.model", model.c_str());
    std::vector<const char *> list, pairs;
    for (const std::string & t : tokens) {
        list.push_back(t.c_str());
    }
    for (const std::string & m : merges) {
        pairs.push_back(m.c_str());
    }
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", list.data(), list.size());
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
    if (model == "llama") {
        gguf_set_arr_data(g, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
    } else {
        gguf_set_val_str(g, "tokenizer.ggml.pre", "qwen2");
        gguf_set_arr_str(g, "tokenizer.ggml.merges", pairs.data(), pairs.size());
    }
    const bool written = gguf_write_to_file(g, path.c_str(), true);
    gguf_free(g);
    if (!written) {
        throw sd_error("IO_ERROR", "cannot write " + path);
    }
}

test_vocab test_vocab_spm(const std::string & characters) {
    test_vocab v;
    v.add("<unk>", LLAMA_TOKEN_TYPE_UNKNOWN);
    v.add("<s>", LLAMA_TOKEN_TYPE_CONTROL);
    v.add("</s>", LLAMA_TOKEN_TYPE_CONTROL);
    for (int b = 0; b < 256; b++) {
        v.add(sd_format("<0x%02X>", b), LLAMA_TOKEN_TYPE_BYTE);
    }
    v.add("\xe2\x96\x81"); // U+2581, a space
    for (char c : characters) {
        v.add(std::string(1, c));
    }
    return v;
}

// what byte-level BPE writes for a byte: itself where it is a printable character of Latin-1, else one from U+0100 on
static std::string byte_text(int byte, int & next) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int cp = printable ? byte : 256 + next++;
    return cp < 0x80 ? std::string(1, char(cp)) : std::string({ char(0xC0 | cp >> 6), char(0x80 | (cp & 0x3F)) });
}

test_vocab test_vocab_bpe() {
    test_vocab v;
    v.model = "gpt2";
    for (int b = 0, next = 0; b < 256; b++) {
        v.add(byte_text(b, next));
    }
    return v;
}

test_vocab_ptr test_vocab_load(const std::string & path) {
    sd_backend_init();
    llama_model_params mp = llama_model_default_params();
    mp.vocab_only = true;
    test_vocab_ptr m(llama_model_load_from_file(path.c_str(), mp));
    if (!m) {
        throw sd_error("MODEL_INVALID", path + " could not be loaded");
    }
    return m;
}
