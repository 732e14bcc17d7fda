// Checkpoint to RPN file: what is read and written, the layout, fallbacks, and that nothing is left behind where it fails.

#include "checkpoint.h"
#include "convert.h"
#include "gguf-file.h"
#include "test.h"

#include "ggml.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#ifndef _WIN32
#include <csignal>
#include <sys/resource.h>
#endif

namespace fs = std::filesystem;
using json = nlohmann::json;

static const test_sizes SMALL{ 64, 4, 4, 176, 3 }; // those of golden/rpn/llava-f32

static sd_convert_params params(const std::string & checkpoint, const std::string & type = "f32") {
    sd_convert_params p;
    p.checkpoint = checkpoint;
    p.out        = test_empty_dir("convert-out") + "/rpn.gguf";
    p.type       = type;
    return p;
}

static sd_convert_result convert(const sd_convert_params & p) {
    std::atomic<bool> cancel{false};
    return sd_convert(p, cancel);
}

// values of an f32 tensor of a GGUF file
static std::vector<float> values(const std::string & path, const std::string & name) {
    gguf_file f;
    gguf_file_open(f, path, "RPN", "RPN_INVALID");
    const ggml_tensor * t = f.tensor(name);
    if (!t || t->type != GGML_TYPE_F32) {
        return {};
    }
    std::vector<float> out(ggml_nelements(t));
    std::ifstream in(fs::u8path(path), std::ios::binary);
    in.seekg(std::streamoff(gguf_get_data_offset(f.ctx) + gguf_get_tensor_offset(f.ctx, gguf_find_tensor(f.ctx, name.c_str()))));
    in.read(reinterpret_cast<char *>(out.data()), std::streamsize(out.size() * sizeof(float)));
    return out;
}

static void check_golden() {
    sd_convert_params p = params(test_fixture("golden/rpn/llava-f32"));
    p.name      = "golden";
    p.threshold = 0.1f;
    std::vector<uint64_t> done;
    p.progress = [&](uint64_t d, uint64_t total) {
        CHECK(d <= total && total > 0 && (done.empty() || d > done.back()));
        done.push_back(d);
    };
    const sd_convert_result r = convert(p);
    CHECK(r.n_tensors == 22);
    CHECK(r.fallbacks.empty());
    CHECK(r.bytes_written == fs::file_size(fs::u8path(p.out)));
    CHECK(done.size() == 23 && done.front() == 0 && done.back() == r.bytes_read);

    gguf_file f;
    gguf_file_open(f, p.out, "RPN", "RPN_INVALID");
    CHECK(gguf_get_n_tensors(f.ctx) == 22);
    CHECK(f.str("general.architecture") == "sdrpn");
    CHECK(f.str("general.name") == "golden");
    CHECK(f.u32("general.file_type") == 0);
    CHECK(f.str("sdrpn.base_architecture") == "llama");
    CHECK(f.u32("sdrpn.branch_layer") == 15);
    CHECK(f.u32("sdrpn.block_count") == 3);
    CHECK(f.u32("sdrpn.embedding_length") == 64);
    CHECK(f.u32("sdrpn.feed_forward_length") == 176);
    CHECK(f.u32("sdrpn.attention.head_count") == 4);
    CHECK(f.u32("sdrpn.attention.head_count_kv") == 4);
    CHECK(f.f32("sdrpn.attention.layer_norm_rms_epsilon") == 1e-5f);
    CHECK(f.u32("sdrpn.rope.dimension_count") == 16);
    CHECK(f.f32("sdrpn.rope.freq_base") == 10000.0f);
    CHECK(f.u32("sdrpn.rope_type") == 0);
    CHECK(f.u32("sdrpn.base.block_count") == 32);
    CHECK(f.u32("sdrpn.base.vocab_size") == 32000);
    CHECK(f.f32("sdrpn.threshold") == 0.1f);

    // what the loader makes of it is what the converter says
    const rpn_ptr net = rpn_load(p.out, nullptr, 1);
    const rpn_hparams & a = rpn_get_hparams(net.get()), & b = r.hparams;
    CHECK(a.n_embd == b.n_embd && a.n_ff == b.n_ff && a.n_head == b.n_head && a.n_head_kv == b.n_head_kv && a.d_head == b.d_head);
    CHECK(a.n_block == b.n_block && a.branch == b.branch && a.rope_type == b.rope_type && a.rope_dim == b.rope_dim);
    CHECK(a.rope_base == b.rope_base && a.eps == b.eps && a.threshold == b.threshold && a.type == b.type);
    CHECK(a.base_architecture == b.base_architecture && a.base_name == b.base_name);
    CHECK(a.base_n_layer == b.base_n_layer && a.base_n_vocab == b.base_n_vocab);

    // the last block is its norm, query and key
    for (const char * name : { "blk.2.attn_v.weight", "blk.2.attn_output.weight", "blk.2.ffn_norm.weight", "blk.2.ffn_gate.weight", "blk.2.ffn_up.weight", "blk.2.ffn_down.weight" }) {
        CHECK(f.tensor(name) == nullptr);
    }
    // what is not permuted arrives bit for bit
    const test_tensors source = test_read_safetensors(test_fixture("golden/rpn/llava-f32/model.safetensors"));
    const struct { const char * name, * from; } same[] = {
        { "output_norm.weight", "twig_norm" }, { "blk.0.attn_norm.weight", "twig_layers.0.input_layernorm" },
        { "blk.1.ffn_norm.weight", "twig_layers.1.post_attention_layernorm" }, { "blk.0.attn_v.weight", "twig_layers.0.self_attn.v_proj" },
        { "blk.1.attn_output.weight", "twig_layers.1.self_attn.o_proj" }, { "blk.0.ffn_gate.weight", "twig_layers.0.mlp.gate_proj" },
        { "blk.0.ffn_up.weight", "twig_layers.0.mlp.up_proj" }, { "blk.1.ffn_down.weight", "twig_layers.1.mlp.down_proj" },
        { "blk.2.attn_q.weight", "twig_layers.2.self_attn.q_proj" }, { "blk.2.attn_k.weight", "twig_layers.2.self_attn.k_proj" },
    };
    for (const auto & s : same) {
        CHECK(values(p.out, s.name) == test_values(source.at("model." + std::string(s.from) + ".weight")));
    }

    // twice the same
    const std::string first = test_read(p.out);
    p.progress = nullptr;
    convert(p);
    CHECK(test_read(p.out) == first);
    CHECK(std::distance(fs::directory_iterator(fs::u8path(p.out).parent_path()), fs::directory_iterator()) == 1);
}

// rows of q and k of full layers, by hand: 2 query heads and 1 key head of width 4; row r of the source is filled with r
static void check_layout() {
    const test_sizes s{ 8, 2, 1, 12, 2 };
    test_tensors net = test_network(s, 3);
    for (const char * il : { "0", "1" }) {
        for (const char * m : { "q", "k" }) {
            test_tensor & t = net["model.twig_layers." + std::string(il) + ".self_attn." + m + "_proj.weight"];
            std::vector<float> v;
            for (int64_t r = 0; r < t.shape[0]; r++) {
                v.insert(v.end(), 8, float(r));
            }
            t = test_f32(t.shape, v);
        }
    }
    const sd_convert_params p = params(test_checkpoint("convert-layout", test_config(s), net));
    convert(p);
    auto rows = [&](const char * name) {
        const std::vector<float> v = values(p.out, name);
        std::vector<int> out;
        for (size_t i = 0; i < v.size(); i += 8) {
            CHECK(std::vector<float>(8, v[i]) == std::vector<float>(v.begin() + i, v.begin() + i + 8));
            out.push_back(int(v[i]));
        }
        return out;
    };
    CHECK((rows("blk.0.attn_q.weight") == std::vector<int>{ 0, 2, 1, 3, 4, 6, 5, 7 }));
    CHECK((rows("blk.0.attn_k.weight") == std::vector<int>{ 0, 2, 1, 3 }));
    // no rope in the last block
    CHECK((rows("blk.1.attn_q.weight") == std::vector<int>{ 0, 1, 2, 3, 4, 5, 6, 7 }));
    CHECK((rows("blk.1.attn_k.weight") == std::vector<int>{ 0, 1, 2, 3 }));
}

static void check_types() {
    struct expected { const char * type; uint32_t file_type; ggml_type w64, w176, w256; size_t n_fallbacks; };
    // weights: 2 x 7 of the full layers and 2 of the last; only ffn_down has rows of 176
    const expected all[] = {
        { "f32",  0,  GGML_TYPE_F32,  GGML_TYPE_F32, GGML_TYPE_F32,  0 },
        { "f16",  1,  GGML_TYPE_F16,  GGML_TYPE_F16, GGML_TYPE_F16,  0 },
        { "q8_0", 7,  GGML_TYPE_Q8_0, GGML_TYPE_F16, GGML_TYPE_Q8_0, 2 },
        { "q4_k", 14, GGML_TYPE_Q8_0, GGML_TYPE_F16, GGML_TYPE_Q4_K, 16 },
    };
    const test_sizes wide{ 256, 4, 2, 512, 3 };
    const std::string wide_dir = test_checkpoint("convert-wide", test_config(wide), test_network(wide, 4));
    for (const expected & e : all) {
        const sd_convert_params p = params(test_fixture("golden/rpn/llava-f32"), e.type);
        const sd_convert_result r = convert(p);
        CHECK(r.fallbacks.size() == e.n_fallbacks);
        {
            gguf_file f;
            gguf_file_open(f, p.out, "RPN", "RPN_INVALID");
            CHECK(f.u32("general.file_type") == e.file_type);
            CHECK(f.has("general.quantization_version") == (e.file_type > 1));
            for (int64_t i = 0; i < gguf_get_n_tensors(f.ctx); i++) {
                const std::string name = gguf_get_tensor_name(f.ctx, i);
                const bool norm = name.find("norm") != std::string::npos, down = name.find("ffn_down") != std::string::npos;
                const bool ff = name.find("ffn_gate") != std::string::npos || name.find("ffn_up") != std::string::npos;
                CHECK(gguf_get_tensor_type(f.ctx, i) == (norm ? GGML_TYPE_F32 : down ? e.w176 : e.w64));
                f.require(name, down ? 176 : 64, norm ? 0 : ff ? 176 : 64); // throws where the shape differs
            }
        }
        CHECK(rpn_get_hparams(rpn_load(p.out, nullptr, 1).get()).type == ggml_type_name(e.w64));

        const sd_convert_params q = params(wide_dir, e.type);
        CHECK(convert(q).fallbacks.empty());
        CHECK(rpn_get_hparams(rpn_load(q.out, nullptr, 1).get()).type == ggml_type_name(e.w256));
    }
    const auto fallbacks = convert(params(test_fixture("golden/rpn/llava-f32"), "q4_k")).fallbacks;
    CHECK(fallbacks.front() == "blk.0.attn_q.weight: q4_k -> q8_0");
    CHECK(std::find(fallbacks.begin(), fallbacks.end(), "blk.1.ffn_down.weight: q4_k -> f16") != fallbacks.end());

    // f16 cannot hold everything that f32 can
    test_tensors net = test_network(SMALL, 5);
    test_tensor & up = net["model.twig_layers.0.mlp.up_proj.weight"];
    std::vector<float> v = test_values(up);
    v[77] = 70000.0f;
    up = test_f32(up.shape, v);
    const std::string dir = test_checkpoint("convert-large", test_config(SMALL), net);
    convert(params(dir, "f32"));
    CHECK_CODE(convert(params(dir, "f16")), "CHECKPOINT_INVALID");
}

// All roads to the tensors give the same file: shards with an index and large other tensors between, shards without one,
// a single file, names without "model.". Unrelated tensors have a type that cannot be read, one shard of them is missing.
static void check_shards() {
    const std::string source = test_fixture("golden/rpn/llava-f32");
    sd_convert_params p = params(source);
    p.name = "same";
    const sd_convert_result whole = convert(p);
    const std::string expected = test_read(p.out);

    const test_tensors all = test_read_safetensors(source + "/model.safetensors");
    test_tensors a, b, bare;
    json map = { { "lm_head.weight", "model-00003-of-00003.safetensors" }, { "unrelated", "model-00001-of-00003.safetensors" } };
    uint64_t needed = 0;
    for (const auto & [name, t] : all) {
        const bool first = a.size() < all.size() / 2;
        (first ? a : b)[name] = t;
        map[name] = first ? "model-00001-of-00003.safetensors" : "model-00002-of-00003.safetensors";
        bare[name.substr(6)] = t;
        const bool unused = name.find("layers.2.") != std::string::npos && name.find("q_proj") == std::string::npos
            && name.find("k_proj") == std::string::npos && name.find("input_layernorm") == std::string::npos;
        needed += unused ? 0 : t.data.size();
    }
    CHECK(whole.bytes_read == needed);

    const uint64_t large = 1ull << 30;
    auto same = [&](const std::string & checkpoint) {
        sd_convert_params q = params(checkpoint);
        q.name = "same";
        const sd_convert_result r = convert(q);
        CHECK(r.bytes_read == needed);
        CHECK(test_read(q.out) == expected);
    };
    std::string dir = test_empty_dir("convert-shards");
    fs::copy_file(fs::u8path(source + "/config.json"), fs::u8path(dir + "/config.json"));
    test_write_safetensors(dir + "/model-00001-of-00003.safetensors", a, large);
    test_write_safetensors(dir + "/model-00002-of-00003.safetensors", b, large);
    same(dir); // no index yet
    test_write(dir + "/model.safetensors.index.json", json{ { "metadata", json::object() }, { "weight_map", map } }.dump());
    same(dir);
    fs::remove(fs::u8path(dir + "/model-00002-of-00003.safetensors"));
    CHECK_CODE(convert(params(dir)), "CHECKPOINT_INVALID");
    test_write_safetensors(dir + "/model-00002-of-00003.safetensors", test_tensors{});
    CHECK_CODE(convert(params(dir)), "CHECKPOINT_INVALID"); // the index tells of tensors that the shard lacks
    test_write(dir + "/model.safetensors.index.json", "{\"weight_map\": []}");
    CHECK_CODE(convert(params(dir)), "CHECKPOINT_INVALID");
    fs::remove_all(fs::u8path(dir)); // holes cost room on file systems without them

    dir = test_checkpoint("convert-bare", json::parse(test_read(source + "/config.json")), bare);
    same(dir);
    same(dir + "/model.safetensors");
}

// --- failures: the code, what the message says, and no file left behind

static void check_fails(const sd_convert_params & p, const std::string & code, const std::string & says, bool cancelled = false) {
    std::atomic<bool> cancel{cancelled};
    std::string got = "nothing", message;
    try {
        sd_convert(p, cancel);
    } catch (const sd_error & e) {
        got = e.code;
        message = e.what();
    }
    const bool ok = got == code && message.find(says) != std::string::npos;
    CHECK(ok);
    if (!ok) {
        fprintf(stderr, "  %s: %s (expected %s: %s)\n", got.c_str(), message.c_str(), code.c_str(), says.c_str());
    }
    CHECK(fs::is_empty(fs::u8path(test_temp("convert-out"))));
}

static void check_config_errors() {
    const test_tensors net = test_network(SMALL, 6);
    const json good = test_config(SMALL);
    auto fails = [&](const json & change, const std::string & says) {
        json config = good;
        config.merge_patch(change); // null removes a key
        check_fails(params(test_checkpoint("convert-bad", config, net)), "CHECKPOINT_INVALID", says);
    };
    for (const char * key : { "hidden_size", "num_attention_heads", "intermediate_size", "rms_norm_eps", "num_hidden_layers", "twig_K", "twig_T" }) {
        fails({ { key, nullptr } }, std::string("lacks the key ") + key);
        fails({ { key, "12" } }, std::string("\"12\" for ") + key);
        fails({ { key, -3 } }, std::string("-3 for ") + key);
    }
    fails({ { "hidden_size", 1e300 } }, "for hidden_size");
    fails({ { "twig_K", 32 } }, "32 for twig_K: expected an integer between 1 and 31");
    fails({ { "num_attention_heads", 7 } }, "7 attention heads");
    fails({ { "model_type", "qwen2_5_vl" } }, "qwen2_5_vl: expected llava_llama");
    fails({ { "model_type", nullptr }, { "architectures", { "Qwen2VLForConditionalGeneration" } } }, "Qwen2VL");
    fails({ { "model_type", nullptr }, { "architectures", nullptr } }, "none given");
    fails({ { "roi_super_type", "lazy" } }, "\"lazy\" for roi_super_type: only \"v1\"");
    fails({ { "rope_scaling", { { "type", "linear" }, { "factor", 2.0 } } } }, "rope_scaling");
    fails({ { "head_dim", 32 } }, "32 for head_dim: expected 16");
    // tensors that do not belong to this config
    fails({ { "hidden_size", 128 } }, "shape [64]: expected [128]");
    fails({ { "intermediate_size", 160 } }, "shape [176, 64]: expected [160, 64]");
    fails({ { "num_key_value_heads", 2 } }, "shape [64, 64]: expected [32, 64]");
    fails({ { "twig_T", 4 } }, "lacks model.twig_layers.3.input_layernorm.weight");

    // what may be absent, and the names a file takes
    json config = good;
    config.merge_patch({ { "num_key_value_heads", nullptr }, { "rope_theta", nullptr }, { "vocab_size", nullptr }, { "model_type", nullptr }, { "_name_or_path", "/models/of/llava-x/" } });
    sd_convert_params p = params(test_checkpoint("convert-named", config, net));
    sd_convert_result r = convert(p);
    CHECK(r.hparams.n_head_kv == 4 && r.hparams.rope_base == 10000.0f && r.hparams.base_n_vocab == 0);
    CHECK(r.hparams.base_name == "llava-x");
    p = params(test_checkpoint("convert-named", good, net));
    p.threshold = 0;
    r = convert(p);
    CHECK(r.hparams.base_name == "convert-named");
    gguf_file f;
    gguf_file_open(f, p.out, "RPN", "RPN_INVALID");
    CHECK(!f.has("sdrpn.threshold"));

    const std::string dir = test_checkpoint("convert-bad", good, net);
    test_write(dir + "/config.json", "{ \"hidden_size\": ");
    check_fails(params(dir), "CHECKPOINT_INVALID", "config.json is not a JSON object");
    fs::remove(fs::u8path(dir + "/config.json"));
    check_fails(params(dir), "CHECKPOINT_INVALID", "config.json could not be opened");
    check_fails(params(test_temp("convert-nowhere")), "CHECKPOINT_INVALID", "does not exist");
}

static void check_tensor_errors() {
    const json config = test_config(SMALL);
    const test_tensors good = test_network(SMALL, 7);
    auto fails = [&](const test_tensors & net, const std::string & says) {
        check_fails(params(test_checkpoint("convert-bad", config, net)), "CHECKPOINT_INVALID", says);
    };
    test_tensors net = good;
    net.erase("model.twig_norm.weight");
    fails(net, "lacks model.twig_norm.weight");
    net = good;
    net.erase("model.twig_layers.1.mlp.up_proj.weight");
    net.erase("model.twig_layers.2.self_attn.k_proj.weight");
    fails(net, "lacks model.twig_layers.1.mlp.up_proj.weight, model.twig_layers.2.self_attn.k_proj.weight");
    fails({ { "model.embed_tokens.weight", test_f32({ 2 }, { 1, 2 }) } }, "no model.twig_layers tensors");
    net = good;
    net["model.twig_layers.0.self_attn.q_proj.bias"] = test_f32({ 64 }, std::vector<float>(64));
    fails(net, "q_proj.bias");
    net = good;
    test_tensor & odd = net["model.twig_layers.0.mlp.gate_proj.weight"];
    odd.dtype = "F8_E4M3";
    odd.data.resize(odd.data.size() / 4);
    fails(net, "in type F8_E4M3: expected F32, F16 or BF16");
    net = good;
    test_tensor & nan = net["model.twig_layers.1.self_attn.v_proj.weight"];
    std::vector<float> v = test_values(nan);
    v[5] = std::nanf("");
    nan = test_f32(nan.shape, v);
    fails(net, "not finite in twig_layers.1.self_attn.v_proj.weight");

    // truncated: in the data, in the header, altogether
    const std::string dir = test_checkpoint("convert-bad", config, good), shard = dir + "/model.safetensors";
    const std::string bytes = test_read(shard);
    for (size_t n : { bytes.size() - 1, size_t(500), size_t(5), size_t(0) }) {
        test_write(shard, bytes.substr(0, n));
        check_fails(params(dir), "CHECKPOINT_INVALID", "model.safetensors");
    }
    fs::remove(fs::u8path(shard));
    test_write(dir + "/pytorch_model.bin", "PK");
    check_fails(params(dir), "CHECKPOINT_INVALID", "holds no .safetensors files");
}

static void check_output_errors() {
    const std::string source = test_fixture("golden/rpn/llava-f32");
    sd_convert_params p = params(source, "q5_k");
    check_fails(p, "INVALID_ARGUMENT", "f32, f16, q8_0, q4_k for type but received q5_k");
    p = params(source);
    p.threshold = 1.5f;
    check_fails(p, "INVALID_ARGUMENT", "for threshold but received 1.5");
    p.threshold = std::nanf("");
    check_fails(p, "INVALID_ARGUMENT", "for threshold");
    check_fails(params(""), "INVALID_ARGUMENT", "empty");

    p = params(source);
    p.out = test_temp("convert-no-such-dir") + "/rpn.gguf";
    check_fails(p, "IO_ERROR", p.out);
    p.out = test_empty_dir("convert-is-a-dir");
    check_fails(p, "IO_ERROR", p.out);
    test_write(test_temp("convert-file"), "x");
    p.out = test_temp("convert-file") + "/rpn.gguf";
    check_fails(p, "IO_ERROR", p.out);

    // its own input, by another spelling
    const std::string dir = test_checkpoint("convert-self", test_config(SMALL), test_network(SMALL, 8));
    const std::string before = test_read(dir + "/model.safetensors");
    p.checkpoint = dir;
    for (const char * file : { "/../convert-self/model.safetensors", "/./config.json" }) {
        p.out = dir + file;
        check_fails(p, "INVALID_ARGUMENT", "part of the checkpoint");
    }
    CHECK(test_read(dir + "/model.safetensors") == before);

    // aborted before the first and in the midst of the tensors
    check_fails(params(source), "ABORTED", "aborted", true);
    for (uint64_t at : { 0, 1 }) {
        std::atomic<bool> cancel{false};
        p = params(source);
        p.progress = [&](uint64_t done, uint64_t total) { cancel = cancel || done >= at * total / 2; };
        CHECK_CODE(sd_convert(p, cancel), "ABORTED");
        CHECK(fs::is_empty(fs::u8path(p.out).parent_path()));
    }

    // a failure leaves the file that was there
    p = params(source);
    test_write(p.out, "mine");
    std::atomic<bool> cancel{false};
    p.progress = [&](uint64_t done, uint64_t) { cancel = done > 0; };
    CHECK_CODE(sd_convert(p, cancel), "ABORTED");
    CHECK(test_read(p.out) == "mine");
    p.progress = nullptr;
    convert(p);
    CHECK(rpn_get_hparams(rpn_load(p.out, nullptr, 1).get()).n_embd == 64);

#ifndef _WIN32
    // no more room after 100 kB, as on a full disk
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const rlimit small{ 100000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    p = params(source);
    check_fails(p, "IO_ERROR", p.out + " could not be written");
    setrlimit(RLIMIT_FSIZE, &old);
    convert(p);
#endif
}

// two checkpoints in one directory without an index
static void check_twice() {
    const fs::path dir = fs::u8path(test_temp("twice"));
    const fs::path source = fs::u8path(test_fixture("golden/rpn/llava-f32"));
    fs::create_directories(dir);
    fs::copy_file(source / "config.json", dir / "config.json", fs::copy_options::overwrite_existing);
    for (const char * name : { "after.safetensors", "model.safetensors" }) {
        fs::copy_file(source / "model.safetensors", dir / name, fs::copy_options::overwrite_existing);
    }
    sd_convert_params p = params(dir.u8string());
    check_fails(p, "CHECKPOINT_INVALID", "twice");
    p.checkpoint = (dir / "model.safetensors").u8string();
    convert(p);
}

int main() {
    return test_main("convert", [] {
        check_golden();
        check_layout();
        check_types();
        check_shards();
        check_config_errors();
        check_tensor_errors();
        check_output_errors();
        check_twice();
    });
}
