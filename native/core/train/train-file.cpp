// The files that training writes: the RPN file, and checkpoints.

#include "train-impl.h"

#include "error.h"

#include "gguf.h"

#include <cmath>

static const char * KEY_STEP = "sdrpn.train.step";
static const char * KEY_NOTE = "sdrpn.train.note";
static const char * const MOMENTS[] = { "adamw.m.", "adamw.v." }; // before the name of the tensor

static std::vector<float> values(const ggml_tensor * x) {
    std::vector<float> out(ggml_nelements(x));
    ggml_backend_tensor_get(x, out.data(), 0, ggml_nbytes(x));
    return out;
}

// as ggml rounds to f16: what comes to infinity there
static void check_fits_f16(const rpn_file_tensor & f, const std::vector<float> & v) {
    for (float x : v) {
        if (f.type == GGML_TYPE_F16 && !(std::fabs(x) <= 65504.0f)) {
            throw sd_error("INVALID_ARGUMENT",
                sd_format("Expected weights of at most 65504 for the type f16 but %s has one of %g: save as q8_0 or f32, "
                          "or train with a lower learning rate",
                    f.name.c_str(), double(x)));
        }
    }
}

static void add_gate(const rpn_trainer * t, rpn_writer & w) {
    for (const rpn_file_tensor & f : rpn_gate_tensors(t->hp, GGML_TYPE_F32)) {
        gguf_writer_add(w, t->gate.at(f.name));
    }
}

void rpn_train_save(const rpn_trainer * t, const std::string & path, const std::string & type, float threshold) {
    rpn_hparams hp = t->hp;
    hp.threshold = threshold;
    const std::vector<rpn_file_tensor> files = rpn_file_tensors(hp, rpn_file_type(type));
    for (size_t i = 0; i < files.size(); i++) {
        check_fits_f16(files[i], values(t->tensors[i].w));
    }
    for (const rpn_file_tensor & f : rpn_gate_tensors(hp, rpn_file_type(type))) {
        check_fits_f16(f, t->gate.at(f.name));
    }
    rpn_writer w;
    rpn_writer_open(w, path, hp, t->name, rpn_file_type(type));
    for (const rpn_train_param & p : t->tensors) {
        gguf_writer_add(w, values(p.w));
    }
    add_gate(t, w);
    gguf_writer_close(w);
}

// the moments' tensors have the shapes of the weights'
static std::vector<rpn_file_tensor> moments(const rpn_hparams & hp, const std::string & prefix) {
    std::vector<rpn_file_tensor> out = rpn_file_tensors(hp, GGML_TYPE_F32);
    for (rpn_file_tensor & f : out) {
        f.name = prefix + f.name;
    }
    return out;
}

void rpn_train_checkpoint(const rpn_trainer * t, const std::string & path, const std::string & note) {
    if (t->n_cells) {
        throw sd_error("INVALID_ARGUMENT", "A checkpoint of training can only be written right after a step");
    }
    gguf_context_ptr header(gguf_init_empty());
    rpn_file_keys(header.get(), t->hp, t->name, GGML_TYPE_F32);
    gguf_set_val_i64(header.get(), KEY_STEP, t->n_step);
    gguf_set_val_str(header.get(), KEY_NOTE, note.c_str());

    rpn_writer w;
    w.what = "training checkpoint";
    w.tensors = rpn_file_tensors(t->hp, GGML_TYPE_F32);
    const std::vector<rpn_file_tensor> gate = rpn_gate_tensors(t->hp, GGML_TYPE_F32);
    w.tensors.insert(w.tensors.end(), gate.begin(), gate.end());
    for (const char * prefix : MOMENTS) {
        const std::vector<rpn_file_tensor> more = moments(t->hp, prefix);
        w.tensors.insert(w.tensors.end(), more.begin(), more.end());
    }
    gguf_writer_begin(w, path, header.get());
    for (const rpn_train_param & p : t->tensors) {
        gguf_writer_add(w, values(p.w));
    }
    add_gate(t, w);
    for (const rpn_train_param & p : t->tensors) {
        gguf_writer_add(w, values(p.m));
    }
    for (const rpn_train_param & p : t->tensors) {
        gguf_writer_add(w, values(p.v));
    }
    gguf_writer_close(w);
}

// the step it was written after
static int64_t open_checkpoint(gguf_file & f, const std::string & path, std::string & note) {
    gguf_file_open(f, path, "training checkpoint", "RPN_INVALID");
    const int64_t id = gguf_find_key(f.ctx, KEY_STEP);
    if (id < 0) {
        throw sd_error("RPN_INVALID", "The RPN file " + path + " is no checkpoint of training: start from it instead of resuming");
    }
    f.expect(KEY_STEP, GGUF_TYPE_INT64);
    const int64_t n_step = gguf_get_val_i64(f.ctx, id);
    if (n_step < 0) {
        throw sd_error("RPN_INVALID", sd_format("The training checkpoint %s has the impossible step %lld", path.c_str(), (long long) n_step));
    }
    note = f.str(KEY_NOTE);
    return n_step;
}

std::string rpn_train_note(const std::string & path) {
    gguf_file f;
    std::string note;
    open_checkpoint(f, path, note);
    return note;
}

rpn_trainer_ptr rpn_train_resume(const std::string & path, const rpn_train_params & params, ggml_backend_device * dev, std::string & note) {
    const rpn_weights start = rpn_weights_load(path);
    gguf_file f;
    const int64_t n_step = open_checkpoint(f, path, note);

    rpn_trainer_ptr t = rpn_train_init(start, params, dev);
    t->n_step = n_step;
    for (int i = 0; i < 2; i++) {
        const std::vector<rpn_file_tensor> files = moments(t->hp, MOMENTS[i]);
        for (size_t j = 0; j < files.size(); j++) {
            const rpn_file_tensor & m = files[j];
            const ggml_tensor * src = f.require(m.name, m.ne0, m.ne1);
            if (src->type != GGML_TYPE_F32) {
                throw sd_error("RPN_INVALID", "The training checkpoint " + path + " has the tensor " + m.name + " in another type than f32");
            }
            const std::vector<float> v = f.read_f32(src);
            ggml_tensor * dst = i == 0 ? t->tensors[j].m : t->tensors[j].v;
            ggml_backend_tensor_set(dst, v.data(), 0, v.size() * sizeof(float));
        }
    }
    return t;
}
