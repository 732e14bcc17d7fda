#include "convert.h"

#include "error.h"
#include "rpn/rpn-checkpoint.h"
#include "rpn/rpn-file.h"

#include <cmath>
#include <filesystem>

namespace fs = std::filesystem;

static void check_params(const sd_convert_params & p) {
    if (p.checkpoint.empty() || p.out.empty()) {
        throw sd_error("INVALID_ARGUMENT", "Expected the paths of a checkpoint and of the file to write, but one of them is empty");
    }
    if (!(std::fabs(p.threshold) < 1)) {
        throw sd_error("INVALID_ARGUMENT", sd_format("Expected a number between -1 and 1 for threshold but received %g", double(p.threshold)));
    }
}

// values beyond its range would become infinite
static void check_f16(const std::vector<float> & values, const std::string & name) {
    for (float v : values) {
        if (std::fabs(v) > 65504.0f) {
            throw sd_error("CHECKPOINT_INVALID", sd_format("The value %g in %s does not fit into f16: convert with type f32", double(v), name.c_str()));
        }
    }
}

sd_convert_result sd_convert(const sd_convert_params & p, const std::atomic<bool> & cancel) {
    check_params(p);
    const ggml_type type = rpn_file_type(p.type);

    rpn_checkpoint c;
    rpn_checkpoint_open(c, p.checkpoint);
    for (const std::string & file : c.files) {
        std::error_code ec;
        if (fs::equivalent(fs::u8path(file), fs::u8path(p.out), ec)) {
            throw sd_error("INVALID_ARGUMENT", "The file to write, " + p.out + ", is part of the checkpoint: give another path");
        }
    }
    const std::string name = p.name.empty() ? c.name : p.name;
    c.hp.threshold = p.threshold;
    if (c.hp.base_name.empty()) {
        c.hp.base_name = name;
    }

    rpn_writer w;
    w.cancel = &cancel;
    rpn_writer_open(w, p.out, c.hp, name, type);

    uint64_t total = 0;
    for (const auto & [_, t] : c.tensors) {
        total += t.end - t.begin;
    }
    sd_convert_result r;
    if (p.progress) {
        p.progress(0, total);
    }
    for (const rpn_file_tensor & t : w.tensors) {
        if (cancel) {
            throw sd_error("ABORTED", "Converting " + p.checkpoint + " was aborted");
        }
        const std::vector<float> values = rpn_checkpoint_read(c, t.name);
        if (t.type == GGML_TYPE_F16) {
            check_f16(values, t.name);
        }
        rpn_writer_add(w, values);
        r.bytes_read += c.tensors.at(t.name).end - c.tensors.at(t.name).begin;
        if (p.progress) {
            p.progress(r.bytes_read, total);
        }
    }
    if (cancel) {
        throw sd_error("ABORTED", "Converting " + p.checkpoint + " was aborted");
    }
    rpn_writer_close(w);

    r.n_tensors = int(w.tensors.size());
    r.bytes_written = w.n_bytes;
    r.fallbacks = w.fallbacks;
    r.hparams = c.hp;
    for (const rpn_file_tensor & t : w.tensors) {
        if (t.name == "blk.0.attn_q.weight") {
            r.hparams.type = ggml_type_name(t.type); // as rpn_load reports it
        }
    }
    return r;
}
