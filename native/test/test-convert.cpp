// Checkpoint to RPN file: what is read and written, the layout, types and their fallbacks, shards.

#include "convert-cases.h"
#include "gguf-file.h"

#include "ggml.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;
using json = nlohmann::json;

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
    p.name = "golden";
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
    const rpn_hparams &a = rpn_get_hparams(net.get()), &b = r.hparams;
    CHECK(a.n_embd == b.n_embd && a.n_ff == b.n_ff && a.n_head == b.n_head && a.n_head_kv == b.n_head_kv && a.d_head == b.d_head);
    CHECK(a.n_block == b.n_block && a.branch == b.branch && a.rope_type == b.rope_type && a.rope_dim == b.rope_dim);
    CHECK(a.rope_base == b.rope_base && a.eps == b.eps && a.threshold == b.threshold && a.type == b.type);
    CHECK(a.base_architecture == b.base_architecture && a.base_name == b.base_name);
    CHECK(a.base_n_layer == b.base_n_layer && a.base_n_vocab == b.base_n_vocab);

    // the last block is its norm, query and key
    for (const char * name : { "blk.2.attn_v.weight", "blk.2.attn_output.weight", "blk.2.ffn_norm.weight", "blk.2.ffn_gate.weight", "blk.2.ffn_up.weight",
             "blk.2.ffn_down.weight" }) {
        CHECK(f.tensor(name) == nullptr);
    }
    // what is not permuted arrives bit for bit
    const test_tensors source = test_read_safetensors(test_fixture("golden/rpn/llava-f32/model.safetensors"));
    const struct {
        const char *name, *from;
    } same[] = {
        { "output_norm.weight", "twig_norm" },
        { "blk.0.attn_norm.weight", "twig_layers.0.input_layernorm" },
        { "blk.1.ffn_norm.weight", "twig_layers.1.post_attention_layernorm" },
        { "blk.0.attn_v.weight", "twig_layers.0.self_attn.v_proj" },
        { "blk.1.attn_output.weight", "twig_layers.1.self_attn.o_proj" },
        { "blk.0.ffn_gate.weight", "twig_layers.0.mlp.gate_proj" },
        { "blk.0.ffn_up.weight", "twig_layers.0.mlp.up_proj" },
        { "blk.1.ffn_down.weight", "twig_layers.1.mlp.down_proj" },
        { "blk.2.attn_q.weight", "twig_layers.2.self_attn.q_proj" },
        { "blk.2.attn_k.weight", "twig_layers.2.self_attn.k_proj" },
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
    struct expected {
        const char * type;
        uint32_t file_type;
        ggml_type w64, w176, w256;
        size_t n_fallbacks;
    };
    // weights: 2 x 7 of the full layers and 2 of the last; only ffn_down has rows of 176
    const expected all[] = {
        { "f32", 0, GGML_TYPE_F32, GGML_TYPE_F32, GGML_TYPE_F32, 0 },
        { "f16", 1, GGML_TYPE_F16, GGML_TYPE_F16, GGML_TYPE_F16, 0 },
        { "bf16", 32, GGML_TYPE_BF16, GGML_TYPE_BF16, GGML_TYPE_BF16, 0 },
        { "q8_0", 7, GGML_TYPE_Q8_0, GGML_TYPE_F16, GGML_TYPE_Q8_0, 2 },
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
            CHECK(f.has("general.quantization_version") == bool(ggml_is_quantized(e.w256)));
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
        const bool unused = name.find("layers.2.") != std::string::npos && name.find("q_proj") == std::string::npos && name.find("k_proj") == std::string::npos
            && name.find("input_layernorm") == std::string::npos;
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

int main() {
    return test_main("convert", [] {
        check_golden();
        check_layout();
        check_types();
        check_shards();
    });
}
