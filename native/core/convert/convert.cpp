#include "convert.h"

#include "check.h"
#include "rpn/rpn-file.h"
#include "tokenizer.h"
#include "write.h"

#include "ggml-cpp.h"
#include "gguf.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>

namespace fs = std::filesystem;

static void check_params(const sd_convert_params & p) {
    if (p.checkpoint.empty() || p.out.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected the paths of a checkpoint and of what to write, but one of them is empty");
    }
    if (p.threshold && !(std::fabs(*p.threshold) <= 1)) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a number between -1 and 1 for threshold but received %g", double(*p.threshold)));
    }
    static const std::set<std::string> types = { "f32", "f16", "bf16", "q8_0", "q4_k", "q4_k_m" };
    if (!types.count(p.type)) {
        throw sd_error("INVALID_ARGUMENT", "Expected one of f32, f16, q8_0, q4_k, q4_k_m, bf16 for type but received " + p.type);
    }
}

namespace {

// a checkpoint and those that it is based on, as one
struct source {
    checkpoint main;
    std::vector<checkpoint> bases;
    convert_config config;
    std::vector<fs::path> dirs; // in which other files are looked for
};

// one file on its way
struct output {
    convert_file file;
    gguf_context_ptr header{ gguf_init_empty() };
    gguf_writer writer;
    std::string path;
};

source open_source(const sd_convert_params & p) {
    source s;
    s.main = checkpoint_at(p.checkpoint);
    s.config = convert_config_read(s.main.dir);
    checkpoint_open(s.main, p.whole ? convert_wants : convert_wants_rpn);
    convert_config_method(s.config, s.main.tensors);
    s.dirs.push_back(s.main.dir);
    for (const std::string & path : p.base) {
        checkpoint base = checkpoint_at(path);
        const auto missing = [&](const std::string & name) {
            return p.whole && convert_wants(name) && !convert_wants_rpn(name) && !s.main.tensors.count(name);
        };
        convert_config_base(s.config, base.dir);
        checkpoint_open(base, missing);
        for (auto & [name, t] : base.tensors) {
            s.main.tensors.emplace(name, t);
        }
        s.dirs.push_back(base.dir);
        s.bases.push_back(std::move(base));
    }
    return s;
}

void check_not_input(const source & s, const std::string & path) {
    std::vector<std::string> files = s.main.files;
    for (const checkpoint & base : s.bases) {
        files.insert(files.end(), base.files.begin(), base.files.end());
    }
    for (const std::string & file : files) {
        std::error_code ec;
        if (fs::equivalent(fs::u8path(file), fs::u8path(path), ec)) {
            throw sd_error("INVALID_ARGUMENT", "The file to write, " + path + ", is part of the checkpoint: give another path");
        }
    }
}

// A directory for the files, made where there is none, and removed again while nothing is in it.
struct out_dir {
    fs::path made; // empty: it was there

    explicit out_dir(const std::string & path) {
        const fs::path p = fs::u8path(path);
        std::error_code ec;
        if (fs::exists(p, ec)) {
            if (!fs::is_directory(p, ec)) {
                throw sd_error("IO_ERROR", "The files cannot be written into " + path + ", which is no folder: give one, or --only rpn for the RPN file alone");
            }
            return;
        }
        fs::create_directories(p, ec);
        if (ec) {
            throw sd_error("IO_ERROR", "The folder " + path + " could not be made: " + ec.message());
        }
        made = p;
    }
    ~out_dir() {
        std::error_code ec;
        if (!made.empty()) {
            fs::remove(made, ec); // which a folder with files in it withstands
        }
    }
};

void check_room(const sd_convert_params & p, const fs::path & dir, uint64_t need) {
    std::error_code ec;
    const fs::space_info space = fs::space(dir, ec);
    const uint64_t room = p.disk ? p.disk : ec ? UINT64_MAX : uint64_t(space.available);
    if (need > room) {
        throw sd_error("IO_ERROR",
            sd_format("Converting writes %.1f MB into %s but %.1f MB are free there: make room, or convert to a smaller type", double(need) / 1e6,
                dir.u8string().c_str(), double(room) / 1e6));
    }
}

// the embedding's matrix is the output's too
bool is_tied(const source & s) {
    return s.config.tied_known ? s.config.tied : !s.main.tensors.count("lm_head.weight");
}

void plan_base(const sd_convert_params & p, source & s, const std::string & type, output & model, output & mmproj) {
    convert_config & c = s.config;
    const safetensor_map & tensors = s.main.tensors;
    const auto embedding = tensors.find("embed_tokens.weight");
    if (c.net.base_n_vocab == 0 && embedding != tensors.end() && !embedding->second.shape.empty()) {
        c.net.base_n_vocab = int(std::min<int64_t>(embedding->second.shape[0], 1 << 22));
    }
    model.file = convert_plan_model(p.checkpoint, c, tensors, is_tied(s));
    const convert_vision vision = convert_vision_read(c, s.dirs, tensors);
    mmproj.file = convert_plan_mmproj(p.checkpoint, c, vision, tensors);

    convert_keys_model(model.header.get(), c, vision);
    convert_tokenizer_keys(model.header.get(), convert_tokenizer_read(c, s.dirs, c.net.base_n_vocab));
    convert_types_model(model.file, c, type, model.header.get());
    convert_keys_mmproj(mmproj.header.get(), c, vision);
    convert_types_mmproj(mmproj.file, type, mmproj.header.get());
}

void check_cancel(const sd_convert_params & p, const std::atomic<bool> & cancel) {
    if (cancel) {
        throw sd_error("ABORTED", "Converting " + p.checkpoint + " was aborted");
    }
}

void check_file(const sd_convert_params & p, const source & s, const output & o) {
    if (o.file.what == "model") {
        convert_check_model(o.writer.temp, p.checkpoint);
    } else if (o.file.what == "mmproj") {
        convert_check_mmproj(o.writer.temp, p.checkpoint, s.config.net.n_embd);
    } else {
        convert_check_rpn(o.writer.temp, p.checkpoint);
    }
}

} // namespace

sd_convert_result sd_convert(const sd_convert_params & p, const std::atomic<bool> & cancel) {
    check_params(p);
    const std::string type = p.type == "q4_k" ? "q4_k_m" : p.type;
    const ggml_type rpn_type = rpn_file_type(p.type == "q4_k_m" ? "q4_k" : p.type);

    source s = open_source(p);
    convert_config & c = s.config;
    if (!p.name.empty()) {
        c.name = p.name;
    }
    c.net.threshold = p.threshold.value_or(c.net.threshold);

    std::unique_ptr<out_dir> dir; // goes after the files in it
    std::vector<std::unique_ptr<output>> outputs;
    const auto add = [&](const std::string & path) -> output & {
        outputs.push_back(std::make_unique<output>());
        outputs.back()->path = path;
        return *outputs.back();
    };
    const auto in_dir = [&](const char * name) { return (fs::u8path(p.out) / name).u8string(); };
    if (p.whole) {
        output &model = add(in_dir("model.gguf")), &mmproj = add(in_dir("mmproj.gguf"));
        plan_base(p, s, type, model, mmproj);
    }
    if (c.net.base_name.empty()) {
        c.net.base_name = c.name;
    }
    output & rpn = add(p.whole ? in_dir("rpn.gguf") : p.out);
    rpn.file = convert_plan_rpn(p.checkpoint, c, s.main.tensors, rpn_type);
    rpn_file_keys(rpn.header.get(), c.net, c.name, rpn_type);

    sd_convert_result r;
    uint64_t total = 0, need = 0;
    for (const auto & o : outputs) {
        check_not_input(s, o->path);
        o->writer.what = o->file.what == "RPN" ? "RPN file" : o->file.what + " file";
        o->writer.tensors = o->file.tensors;
        o->writer.cancel = &cancel;
        o->writer.n_threads = p.n_threads > 0 ? p.n_threads : int(std::max(1u, std::thread::hardware_concurrency()));
        need += gguf_writer_size(o->writer, o->header.get());
        total += o->file.bytes_read();
        const ggml_type wanted = o->file.what == "mmproj" ? GGML_TYPE_F16 : rpn_type;
        for (const std::string & each : convert_fallbacks(o->file, wanted)) {
            r.fallbacks.push_back(p.whole ? o->file.what + ": " + each : each);
        }
    }
    dir.reset(p.whole ? new out_dir(p.out) : nullptr);
    check_room(p, dir ? fs::u8path(p.out) : fs::absolute(fs::u8path(p.out)).parent_path(), need);

    if (p.progress) {
        p.progress(0, total);
    }
    for (const auto & o : outputs) {
        check_cancel(p, cancel);
        gguf_writer_begin(o->writer, o->path, o->header.get());
        convert_write(o->writer, o->file, [&](uint64_t bytes) {
            r.bytes_read += bytes;
            if (p.progress) {
                p.progress(r.bytes_read, total);
            }
        });
        gguf_writer_finish(o->writer);
        r.n_tensors += int(o->file.tensors.size());
        r.bytes_written += o->writer.n_bytes;
    }
    for (const auto & o : outputs) {
        check_file(p, s, *o);
    }
    check_cancel(p, cancel);
    for (const auto & o : outputs) {
        gguf_writer_close(o->writer);
        r.files.push_back(o->path);
    }
    r.hparams = c.net;
    for (const gguf_out_tensor & t : rpn.file.tensors) {
        if (t.name == "blk.0.attn_q.weight") {
            r.hparams.type = ggml_type_name(t.type); // as rpn_load reports it
        }
    }
    return r;
}
