// Whole checkpoints to files: plain llama.cpp and mtmd run them, types are those of llama.cpp's quantizer bit for bit, memory stays
// small, and what goes wrong leaves nothing behind.

#include "backend.h"
#include "convert-cases.h"
#include "gguf-file.h"
#include "qwen-checkpoint.h"

#include "llama.h"
#include "mtmd.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#ifndef _WIN32
#include <csignal>
#include <sys/resource.h>
#endif

namespace fs = std::filesystem;
using json = nlohmann::json;

static sd_convert_params whole(const std::string & checkpoint, const std::string & type = "f32") {
    sd_convert_params p;
    p.checkpoint = checkpoint;
    p.out = test_empty_dir("convert-whole");
    p.whole = true;
    p.type = type;
    return p;
}

static bool finite(const float * v, size_t n) {
    return std::all_of(v, v + n, [](float x) { return std::isfinite(x); });
}

// no code of the library's own: the files are good for any program that uses llama.cpp
static void check_plain_llama(const std::string & golden, const std::string & type) {
    const sd_convert_params p = whole(test_fixture("golden/qwen/" + golden), type);
    convert(p);
    llama_model_params mp = llama_model_default_params();
    ggml_backend_dev_t no_devices[] = { nullptr };
    mp.devices = no_devices;
    const std::unique_ptr<llama_model, void (*)(llama_model *)> model(llama_model_load_from_file((p.out + "/model.gguf").c_str(), mp), llama_model_free);
    CHECK(model != nullptr);
    if (!model) {
        return;
    }
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = 256;
    cp.n_threads = cp.n_threads_batch = 1;
    const std::unique_ptr<llama_context, void (*)(llama_context *)> ctx(llama_init_from_model(model.get(), cp), llama_free);
    const llama_vocab * vocab = llama_model_get_vocab(model.get());
    CHECK(llama_vocab_n_tokens(vocab) == 328);
    CHECK(llama_vocab_eos(vocab) == 322 && llama_vocab_is_eog(vocab, 322) && !llama_vocab_get_add_bos(vocab));

    // "What" and " the" are merges, marks are one token each
    std::vector<llama_token> tokens(32);
    const std::string text = "<|im_start|>What the?<|im_end|>";
    tokens.resize(size_t(std::max(0, llama_tokenize(vocab, text.c_str(), int32_t(text.size()), tokens.data(), 32, false, true))));
    CHECK(tokens.size() == 5 && tokens.front() == 321 && tokens.back() == 322);
    CHECK(llama_decode(ctx.get(), llama_batch_get_one(tokens.data(), int32_t(tokens.size()))) == 0);
    CHECK(finite(llama_get_logits_ith(ctx.get(), -1), 328));

    mtmd_context_params vp = mtmd_context_params_default();
    vp.use_gpu = false;
    vp.warmup = false;
    vp.n_threads = 1;
    vp.print_timings = false;
    const std::unique_ptr<mtmd_context, void (*)(mtmd_context *)> vision(mtmd_init_from_file((p.out + "/mmproj.gguf").c_str(), model.get(), vp), mtmd_free);
    CHECK(vision != nullptr);
    if (!vision) {
        return;
    }
    const std::vector<unsigned char> rgb(size_t(224 * 224 * 3), 90);
    const std::unique_ptr<mtmd_bitmap, void (*)(mtmd_bitmap *)> bitmap(mtmd_bitmap_init(224, 224, rgb.data()), mtmd_bitmap_free);
    const std::unique_ptr<mtmd_input_chunks, void (*)(mtmd_input_chunks *)> chunks(mtmd_input_chunks_init(), mtmd_input_chunks_free);
    const std::string marker = mtmd_default_marker();
    const mtmd_input_text prompt = { marker.c_str(), marker.size(), false, true };
    const mtmd_bitmap * bitmaps[] = { bitmap.get() };
    CHECK(mtmd_tokenize(vision.get(), chunks.get(), &prompt, bitmaps, 1) == 0);
    int n_pictures = 0;
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); i++) {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks.get(), i);
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_IMAGE) {
            CHECK(mtmd_encode_chunk(vision.get(), chunk) == 0);
            CHECK(mtmd_input_chunk_get_n_tokens(chunk) == (golden == "qzoom-qwen3" ? 49 : 64)); // 224 / 32, 224 / 28, squared
            CHECK(finite(mtmd_get_output_embd(vision.get()), size_t(64) * mtmd_input_chunk_get_n_tokens(chunk)));
            n_pictures++;
        }
    }
    CHECK(n_pictures == 1);
}

// type and data of every tensor
static std::map<std::string, std::pair<ggml_type, std::string>> tensors(const std::string & path) {
    std::map<std::string, std::pair<ggml_type, std::string>> out;
    gguf_file f;
    gguf_file_open(f, path, "model", "MODEL_INVALID");
    std::ifstream in(fs::u8path(path), std::ios::binary);
    for (int64_t i = 0; i < gguf_get_n_tensors(f.ctx); i++) {
        std::string data(gguf_get_tensor_size(f.ctx, i), '\0');
        in.seekg(std::streamoff(gguf_get_data_offset(f.ctx) + gguf_get_tensor_offset(f.ctx, i)));
        in.read(&data[0], std::streamsize(data.size()));
        out[gguf_get_tensor_name(f.ctx, i)] = { gguf_get_tensor_type(f.ctx, i), std::move(data) };
    }
    return out;
}

static void check_quantizer() {
    const struct {
        const char * type;
        llama_ftype ftype;
    } all[] = {
        { "f16", LLAMA_FTYPE_MOSTLY_F16 },
        { "bf16", LLAMA_FTYPE_MOSTLY_BF16 },
        { "q8_0", LLAMA_FTYPE_MOSTLY_Q8_0 },
        { "q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M },
    };
    // rows that q4_k divides, rows that only q8_0 does, and none; heads of even widths
    for (const auto & [n_embd, n_ff, tied] :
        std::vector<std::tuple<int, int, bool>>{ { 256, 512, false }, { 256, 512, true }, { 192, 352, false }, { 80, 144, false } }) {
        test_qwen_sizes s;
        s.n_embd = n_embd;
        s.n_ff = n_ff;
        s.n_head = 2;
        s.n_head_kv = 1;
        s.tied = tied;
        const std::string dir = test_qwen_checkpoint("convert-quantizer", s, false);
        const sd_convert_params f32 = whole(dir);
        convert(f32);
        const std::string source = test_temp("convert-f32.gguf");
        fs::rename(fs::u8path(f32.out + "/model.gguf"), fs::u8path(source));
        for (const auto & [type, ftype] : all) {
            sd_convert_params p = whole(dir, type);
            p.n_threads = 3;
            convert(p);
            llama_model_quantize_params q = llama_model_quantize_default_params();
            q.ftype = ftype;
            q.nthread = 1;
            const std::string expected = test_temp("convert-quantized.gguf");
            CHECK(llama_model_quantize(source.c_str(), expected.c_str(), &q) == 0);
            CHECK(tensors(p.out + "/model.gguf") == tensors(expected));
            gguf_file ours, theirs;
            gguf_file_open(ours, p.out + "/model.gguf", "model", "MODEL_INVALID");
            gguf_file_open(theirs, expected, "model", "MODEL_INVALID");
            CHECK(ours.u32("general.file_type") == theirs.u32("general.file_type"));

            // the tower is f16 in all of them, its positions and vectors f32
            for (const auto & [name, t] : tensors(p.out + "/mmproj.gguf")) {
                const bool matrix = name.find("weight") != std::string::npos && name.find("ln") == std::string::npos;
                CHECK(t.first == (matrix ? GGML_TYPE_F16 : GGML_TYPE_F32));
            }
        }
    }
}

// each fails with the code and the words; nothing is left
static void check_fails(const sd_convert_params & p, const std::string & code, const std::string & says) {
    std::string got = "nothing", message;
    try {
        convert(p);
    } catch (const sd_error & e) {
        got = e.code;
        message = e.what();
    }
    const bool ok = got == code && message.find(says) != std::string::npos;
    CHECK(ok);
    if (!ok) {
        fprintf(stderr, "  %s: %s (expected %s: %s)\n", got.c_str(), message.c_str(), code.c_str(), says.c_str());
    }
}

static void check_configs() {
    test_qwen_sizes s;
    s.n_layer = 2;
    const std::string dir = test_qwen_checkpoint("convert-config", s, true);
    const json good = test_qwen_config(s);
    const auto bad = [&](const char * pointer, const json & value, const std::string & says) {
        json j = good;
        j[json::json_pointer(pointer)] = value;
        test_write(dir + "/config.json", j.dump());
        check_fails(whole(dir, "q8_0"), "CHECKPOINT_INVALID", says);
    };
    test_write(dir + "/config.json", good.dump());
    convert(whole(dir, "q8_0"));
    bad("/rope_scaling", nullptr, "lacks the key rope_scaling");
    bad("/rope_scaling", json::array(), "an array for rope_scaling: expected an object with mrope_section");
    bad("/rope_scaling/type", "yarn", "\"yarn\" for type: expected \"default\" or \"mrope\"");
    bad("/rope_scaling/mrope_section", { 16, 16 }, "an array for mrope_section: expected three positive integers that are 32 together");
    bad("/rope_scaling/mrope_section", { 0, 16, 16 }, "three positive integers that are 32 together");
    bad("/rope_scaling/mrope_section", { 16, "8", 8 }, "\"8\" in mrope_section");
    bad("/use_sliding_window", true, "true for use_sliding_window: only false is supported");
    bad("/text_config", 3, "3 for text_config: expected an object");
    bad("/num_hidden_layers", 513, "513 for num_hidden_layers: expected an integer between 1 and 512");
    bad("/num_hidden_layers", 3, "lacks model.layers.2.input_layernorm.weight");
    bad("/vocab_size", 640, "with shape [512, 256]: expected [640, 256]");
    bad("/vocab_size", 300, "with shape [512, 256]: expected [300, 256]");
    bad("/vision_config", nullptr, "lacks the object vision_config");
    bad("/vision_config", 5, "lacks the object vision_config");
    bad("/vision_config/window_size", 56, "56 for window_size: only 112 is supported");
    bad("/vision_config/temporal_patch_size", 1, "1 for temporal_patch_size: only 2 is supported");
    bad("/vision_config/spatial_merge_size", 3, "3 for spatial_merge_size: only 2 is supported");
    bad("/vision_config/hidden_act", "gelu", "\"gelu\" for hidden_act: only \"silu\" is supported");
    bad("/vision_config/num_heads", 3, "3 for num_heads: expected heads that divide a width of 64");
    bad("/vision_config/out_hidden_size", 128, "128 for out_hidden_size: expected 256");
    bad("/vision_config/fullatt_block_indexes", { 0 }, "layers at equal distances");
    bad("/vision_config/fullatt_block_indexes", json::array(), "layers at equal distances");
    bad("/vision_config/depth", 3, "lacks visual.blocks.2.norm1.weight");
    bad("/vision_config/patch_size", 16, "visual.patch_embed.proj.weight with shape [64, 3, 2, 14, 14]: expected [64, 3, 2, 16, 16]");
    bad("/vision_config/intermediate_size", -1, "-1 for intermediate_size: expected an integer");
    // deeper than the stack is
    const std::string deep = std::string(200000, '[') + std::string(200000, ']');
    for (const char * key : { "hidden_act", "rope_scaling", "_name_or_path", "eos_token_id", "vision_config", "text_config", "twig_K", "roi_loss" }) {
        json without = good;
        without.erase(key);
        test_write(dir + "/config.json", "{\"" + std::string(key) + "\": " + deep + ", " + without.dump().substr(1));
        try {
            convert(whole(dir, "q8_0"));
        } catch (const sd_error & e) {
            CHECK(e.code == "CHECKPOINT_INVALID");
        }
    }
}

static void check_failures() {
    const std::string golden = test_fixture("golden/qwen/qzoom-qwen3");
    sd_convert_params p = whole(golden);
    p.out += "/new/folder";

    p.disk = 2000000;
    check_fails(p, "IO_ERROR", "3.1 MB into");
    CHECK(!fs::exists(fs::u8path(p.out)));
    p.disk = 4000000;
    convert(p);
    CHECK(std::distance(fs::directory_iterator(fs::u8path(p.out)), fs::directory_iterator()) == 3);
    p.disk = 0;

    // aborted at every piece: what was there stays
    std::vector<std::string> before;
    for (const char * name : { "model.gguf", "mmproj.gguf", "rpn.gguf" }) {
        before.push_back(test_read(p.out + "/" + name));
    }
    uint64_t total = 0;
    p.progress = [&](uint64_t, uint64_t t) { total = t; };
    convert(p);
    for (double at : { 0.0, 0.1, 0.5, 0.75, 0.99, 1.0 }) {
        std::atomic<bool> cancel{ false };
        p.type = "q8_0";
        p.progress = [&](uint64_t done, uint64_t) { cancel = cancel || double(done) >= at * double(total); };
        CHECK_CODE(sd_convert(p, cancel), "ABORTED");
        CHECK(std::distance(fs::directory_iterator(fs::u8path(p.out)), fs::directory_iterator()) == 3);
    }
    p.progress = nullptr;
    size_t i = 0;
    for (const char * name : { "model.gguf", "mmproj.gguf", "rpn.gguf" }) {
        CHECK(test_read(p.out + "/" + name) == before[i++]);
    }

    // the folder is a file, or cannot be made
    test_write(test_temp("convert-plain-file"), "x");
    p.out = test_temp("convert-plain-file");
    check_fails(p, "IO_ERROR", "which is no folder");
    p.out = test_temp("convert-plain-file") + "/below";
    check_fails(p, "IO_ERROR", "could not be made");
    CHECK(test_read(test_temp("convert-plain-file")) == "x");
    p = whole(golden);
    fs::create_directory(fs::u8path(p.out + "/mmproj.gguf"));
    check_fails(p, "IO_ERROR", "mmproj.gguf cannot be written: it is a folder");
    CHECK(std::distance(fs::directory_iterator(fs::u8path(p.out)), fs::directory_iterator()) == 1);

#ifndef _WIN32
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    const rlimit small{ 500000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    p = whole(golden);
    check_fails(p, "IO_ERROR", "could not be written (is the disk full?)");
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(fs::is_empty(fs::u8path(p.out)));
#endif
}

// an embedding of 0.6 GB in f32: what is held of it at a time is a few MB
static void check_memory() {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    test_qwen_sizes s;
    s.n_embd = 1024;
    s.n_head = 8;
    s.n_layer = 2;
    s.n_vocab = 151936;
    s.tied = true;
    const sd_convert_params p = whole(test_qwen_checkpoint("convert-large", s, true), "q8_0");
    const auto peak = [] {
        rusage u{};
        getrusage(RUSAGE_SELF, &u);
        return double(u.ru_maxrss) / 1000; // MB
    };
    const double before = peak();
    convert(p);
    CHECK_LE(peak() - before, 150);
    CHECK(fs::file_size(fs::u8path(p.out + "/model.gguf")) > 165e6);
#endif
}

int main() {
    return test_main("convert-whole", [] {
        sd_backend_init();
        check_memory(); // before others raise the peak
        for (const char * golden : { "sdrpn-qwen2.5", "qzoom-qwen2.5", "qzoom-qwen3" }) {
            for (const char * type : { "f32", "f16", "q8_0" }) {
                check_plain_llama(golden, type);
            }
        }
        check_quantizer();
        check_configs();
        check_failures();
    });
}
