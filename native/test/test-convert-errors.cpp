// Conversions that fail: the code, what the message says, and that no file is left behind.

#include "convert-cases.h"
#include "gguf-file.h"

#include <cmath>
#include <filesystem>
#include <limits>

#ifndef _WIN32
#include <csignal>
#include <sys/resource.h>
#endif

namespace fs = std::filesystem;
using json = nlohmann::json;

static void check_fails(const sd_convert_params & p, const std::string & code, const std::string & says, bool cancelled = false) {
    std::atomic<bool> cancel{ cancelled };
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
    fails({ { "model_type", "qwen2_vl" } }, "qwen2_vl: expected llava_llama");
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
    config.merge_patch({ { "num_key_value_heads", nullptr }, { "rope_theta", nullptr }, { "vocab_size", nullptr }, { "model_type", nullptr },
        { "_name_or_path", "/models/of/llava-x/" } });
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
    check_fails(params(dir), "CHECKPOINT_INVALID", "config.json does not exist");
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
    fails(net, "not finite in model.twig_layers.1.self_attn.v_proj.weight");

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
    check_fails(p, "INVALID_ARGUMENT", "f32, f16, q8_0, q4_k, q4_k_m, bf16 for type but received q5_k");
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
        std::atomic<bool> cancel{ false };
        p = params(source);
        p.progress = [&](uint64_t done, uint64_t total) { cancel = cancel || done >= at * total / 2; };
        CHECK_CODE(sd_convert(p, cancel), "ABORTED");
        CHECK(fs::is_empty(fs::u8path(p.out).parent_path()));
    }

    // a failure leaves the file that was there
    p = params(source);
    test_write(p.out, "mine");
    std::atomic<bool> cancel{ false };
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
    return test_main("convert-errors", [] {
        check_config_errors();
        check_tensor_errors();
        check_output_errors();
        check_twice();
    });
}
