// Tokenizers of checkpoints: SentencePiece and tokenizer.json, what they add, and what is wrong with damaged ones.

#include "checkpoint.h"
#include "convert/tokenizer.h"
#include "test.h"

#include <algorithm>
#include <filesystem>
#include <random>

namespace fs = std::filesystem;
using json = nlohmann::json;

static convert_config config_of(convert_family family) {
    convert_config c;
    c.family = family;
    return c;
}

static convert_tokenizer read(const std::string & dir, convert_family family, int n_vocab) {
    return convert_tokenizer_read(config_of(family), { fs::u8path(dir) }, n_vocab);
}

static void fails(const std::string & dir, convert_family family, int n_vocab, const std::string & says) {
    std::string code, message;
    try {
        read(dir, family, n_vocab);
    } catch (const sd_error & e) {
        code = e.code;
        message = e.what();
    }
    const bool ok = code == "CHECKPOINT_INVALID" && message.find(says) != std::string::npos;
    CHECK(ok);
    if (!ok) {
        fprintf(stderr, "  %s: %s (expected %s)\n", code.c_str(), message.c_str(), says.c_str());
    }
}

// --- SentencePiece

static std::string varint(uint64_t n) {
    std::string out;
    for (; n >= 128; n >>= 7) {
        out += char(n | 128);
    }
    return out + char(n);
}

static std::string piece(const std::string & text, float score, int type) {
    std::string p = "\x0a" + varint(text.size()) + text + "\x15" + std::string(reinterpret_cast<const char *>(&score), 4);
    if (type != 1) {
        p += "\x18" + varint(uint64_t(type)); // the default is left out
    }
    return "\x0a" + varint(p.size()) + p;
}

static std::string byte_token(int byte) {
    return sd_format("<0x%02X>", byte);
}

// <unk> <s> </s>, the bytes, then what is given with falling scores
static std::string sentencepieces(const std::vector<std::string> & pieces) {
    std::string out = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
    for (int byte = 0; byte < 256; byte++) {
        out += piece(byte_token(byte), 0, 6);
    }
    for (size_t i = 0; i < pieces.size(); i++) {
        out += piece(pieces[i], -float(i), 1);
    }
    return out + "\x12\x02\x08\x01"; // what trained it: another field
}

static void check_sentencepiece() {
    const std::string dir = test_empty_dir("tokenizer-spm");
    const std::string good = sentencepieces({ "\u2581t", "he", "\u2581the", "t", "h", "e", "\u2581" });
    test_write(dir + "/tokenizer.model", good);
    const json names = { { "eos_token", "</s>" }, { "bos_token", { { "content", "<s>" } } }, { "unk_token", "<unk>" } };
    test_write(dir + "/tokenizer_config.json", names.dump());
    convert_tokenizer t = read(dir, CONVERT_LLAVA, 266);
    CHECK(t.model == "llama" && t.pre.empty() && t.merges.empty() && t.add_bos && t.chat_template.empty());
    CHECK(t.bos == 1 && t.eos == 2 && t.unk == 0 && t.pad == -1);
    CHECK(t.tokens[261] == "\u2581the" && t.scores[261] == -2 && t.types[261] == 1);
    CHECK(t.types[0] == 2 && t.types[1] == 3 && t.types[3] == 6 && t.types[258] == 6);

    // what later files add, and rows of the embedding without a token
    json more = names;
    more["added_tokens_decoder"] = { { "0", { { "content", "<unk>" }, { "special", true } } }, { "266", { { "content", "<image>" }, { "special", true } } },
        { "267", { { "content", "(c)" }, { "special", false } } } };
    more["add_bos_token"] = false;
    test_write(dir + "/tokenizer_config.json", more.dump());
    test_write(dir + "/added_tokens.json", json{ { "<image>", 266 }, { "<pad>", 268 } }.dump());
    t = read(dir, CONVERT_LLAVA, 270);
    CHECK(!t.add_bos && t.types[0] == 2);
    CHECK(t.tokens[266] == "<image>" && t.types[266] == 3 && t.tokens[267] == "(c)" && t.types[267] == 4);
    CHECK(t.tokens[268] == "<pad>" && t.types[268] == 3 && t.tokens[269] == "[PAD269]" && t.types[269] == 5);
    CHECK(t.tokens.size() == 270 && t.scores.size() == 270 && t.types.size() == 270);

    fails(dir, CONVERT_LLAVA, 268, "268 as number of the token <pad>: expected one below the 268 of vocab_size");
    fails(dir, CONVERT_LLAVA, 260, "more than the 260 tokens of vocab_size");
    test_write(dir + "/added_tokens.json", "{}");
    test_write(dir + "/tokenizer_config.json", "{}");
    fails(dir, CONVERT_LLAVA, 266, "names no token that ends an answer");
    test_write(dir + "/tokenizer_config.json", json{ { "eos_token", "</s>" } }.dump());
    fails(dir, CONVERT_LLAVA, 266, "puts a token before every text");
    test_write(dir + "/tokenizer_config.json", names.dump());
    test_write(dir + "/tokenizer.model", sentencepieces({ "a", "b", "a" }));
    fails(dir, CONVERT_LLAVA, 266, "has the token a twice");
    test_write(dir + "/tokenizer.model", sentencepieces({ "a", "" }));
    fails(dir, CONVERT_LLAVA, 266, "a token without text");
    test_write(dir + "/tokenizer.model", piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("a", -1, 1));
    fails(dir, CONVERT_LLAVA, 266, "lacks the token <0x00>");
    test_write(dir + "/tokenizer.model", "");
    fails(dir, CONVERT_LLAVA, 266, "not a SentencePiece model");

    // whatever comes: pieces, or the error
    std::mt19937 rng(1);
    int n_good = 0, n_bad = 0;
    for (int run = 0; run < 4000; run++) {
        std::string bytes = good;
        const size_t reach = rng() % 2 ? bytes.size() : 200;
        for (unsigned n = 1 + rng() % 4; n > 0; n--) {
            bytes[rng() % reach] = char(rng() % 3 ? rng() : 0xff);
        }
        if (rng() % 8 == 0) {
            bytes.resize(rng() % bytes.size());
        }
        test_write(dir + "/tokenizer.model", bytes);
        try {
            read(dir, CONVERT_LLAVA, 266);
            n_good++;
        } catch (const sd_error & e) {
            CHECK(e.code == "CHECKPOINT_INVALID");
            n_bad++;
        }
    }
    CHECK(n_good > 50 && n_bad > 500);
    // lengths of every size, and none that ends
    for (const std::string & bytes :
        { std::string("\x0a"), std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), std::string(20, '\xff'), std::string("\x0b"),
            std::string("\x0a\x02\x0a\x7f"), std::string("\x0a\x03\x15\x01\x01"), piece("a", std::nanf(""), 1), piece("a", 0, 7), piece("a", 0, 0) }) {
        test_write(dir + "/tokenizer.model", bytes);
        fails(dir, CONVERT_LLAVA, 266, "is not a SentencePiece model");
    }
}

// --- tokenizer.json

// SentencePiece's BPE in the form of the tokenizers library: scores follow from the order of the merges
static void check_llama_json() {
    const std::string dir = test_empty_dir("tokenizer-llama-json");
    json vocab = { { "<unk>", 0 }, { "<s>", 1 }, { "</s>", 2 } };
    for (int byte = 0; byte < 256; byte++) {
        vocab[byte_token(byte)] = 3 + byte;
    }
    for (const char * text : { "\u2581", "t", "h", "e", "he", "\u2581t", "\u2581the", "the" }) {
        vocab[text] = vocab.size();
    }
    json j = { { "added_tokens", json::array() },
        { "model",
            { { "type", "BPE" }, { "unk_token", "<unk>" }, { "vocab", vocab }, { "merges", { "h e", "\u2581 t", "\u2581t he", "t he", "\u2581 the" } } } } };
    for (const char * text : { "<unk>", "<s>", "</s>" }) {
        j["added_tokens"].push_back({ { "id", vocab[text] }, { "content", text }, { "special", true } });
    }
    test_write(dir + "/tokenizer.json", j.dump());
    test_write(dir + "/tokenizer_config.json", json{ { "eos_token", "</s>" }, { "bos_token", "<s>" } }.dump());
    const convert_tokenizer t = read(dir, CONVERT_LLAVA, int(vocab.size()));
    const auto score = [&](const char * text) { return t.scores[vocab[text].get<size_t>()]; };
    CHECK(score("he") == 0 && score("\u2581t") == -1 && score("\u2581the") == -2 && score("the") == -3);
    CHECK(score("t") < score("the") && score("<0x0A>") == 0 && score("<s>") == 0 && t.merges.empty());
    CHECK(t.types[0] == 2 && t.types[1] == 3 && t.types[3] == 6 && t.types[vocab["he"].get<size_t>()] == 1 && t.unk == 0);
}

static void check_qwen_json() {
    const std::string dir = test_empty_dir("tokenizer-qwen"), golden = test_fixture("golden/qwen/qzoom-qwen3/");
    const json good = json::parse(test_read(golden + "tokenizer.json")), names = json::parse(test_read(golden + "tokenizer_config.json"));
    const auto put = [&](const json & tokenizer, const json & config) {
        test_write(dir + "/tokenizer.json", tokenizer.dump());
        test_write(dir + "/tokenizer_config.json", config.dump());
    };
    const auto bad = [&](const std::string & pointer, const json & value, const std::string & says) {
        json j = good;
        j[json::json_pointer(pointer)] = value;
        put(j, names);
        fails(dir, CONVERT_QWEN3, 328, says);
    };
    put(good, names);
    CHECK(read(dir, CONVERT_QWEN3, 328).tokens[322] == "<|im_end|>");
    fails(dir, CONVERT_QWEN3, 327, "327 as number of the token <|video_pad|>: expected one below the 327 of vocab_size");
    bad("/model/type", "Unigram", "tokenizer of type \"Unigram\"");
    bad("/model/vocab", json::array(), "lacks the object vocab");
    bad("/model/merges", 1, "lacks the array merges");
    bad("/model/merges/0", "he", "a merge that is not two pieces of text");
    bad("/model/merges/0", json::array({ "h", "e", "e" }), "a merge that is not two pieces");
    bad("/model/merges/0", json::array({ "q", "zz" }), "a merge of q and zz, which are not tokens");
    bad("/model/merges/0", json::array({ "th", "e" }), "a merge of th and e, which are not tokens"); // but "the" is one
    bad("/model/vocab/zz", 5, "two tokens of the number 5");
    bad("/model/vocab/zz", -1, "has -1 as number of the token zz");
    bad("/model/vocab/zz", 1.5, "has 1.5 as number of the token zz");
    bad("/added_tokens/0/content", "!", "has the token ! twice");
    bad("/added_tokens/0/content", nullptr, "added_tokens without id or content");
    bad("/added_tokens/0/content", std::string("a\0b", 3), "with a zero in it");
    bad("/pre_tokenizer", nullptr, "cuts text otherwise than Qwen's");
    bad("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\p{N}{1,3}", "cuts text otherwise than Qwen's");
    bad("/pre_tokenizer/pretokenizers/1/type", "Whitespace", "cuts text otherwise than Qwen's");

    // names as objects or strings, ids of config.json where there are none, marks of text that is no control
    json j = good, config = names;
    j["added_tokens"][7]["special"] = false;
    config["eos_token"] = { { "content", "<|im_end|>" }, { "lstrip", false } };
    config.erase("pad_token");
    config["chat_template"] = json::array({ { { "name", "tools" }, { "template", "no" } }, { { "name", "default" }, { "template", "yes" } } });
    put(j, config);
    convert_config c = config_of(CONVERT_QWEN3);
    c.pad_token = 320;
    c.bos_token = 400; // beyond the vocabulary
    const convert_tokenizer t = convert_tokenizer_read(c, { fs::u8path(dir) }, 328);
    CHECK(t.eos == 322 && t.pad == 320 && t.bos == -1 && t.types[327] == 4 && t.types[326] == 3 && t.chat_template == "yes");

    // the first folder that has one
    const std::string empty = test_empty_dir("tokenizer-none");
    fails(empty, CONVERT_QWEN3, 328, "holds no tokenizer.json");
    fails(empty, CONVERT_LLAVA, 328, "holds neither tokenizer.model nor tokenizer.json");
    CHECK(convert_tokenizer_read(c, { fs::u8path(empty), fs::u8path(dir) }, 328).eos == 322);
    // deeper than the stack is
    std::string deep(200000, '[');
    test_write(dir + "/tokenizer.json", deep);
    fails(dir, CONVERT_QWEN3, 328, "is not a JSON object");
    test_write(dir + "/tokenizer.json", "{\"model\": {\"type\": " + deep + std::string(200000, ']') + "}}");
    fails(dir, CONVERT_QWEN3, 328, "tokenizer of type an array");
}

int main() {
    return test_main("convert-tokenizer", [] {
        check_sentencepiece();
        check_llama_json();
        check_qwen_json();
    });
}
