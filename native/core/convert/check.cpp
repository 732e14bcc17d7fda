#include "check.h"

#include "backend.h"
#include "checkpoint.h"
#include "gguf-file.h"
#include "log.h"
#include "model.h"
#include "rpn/rpn-file.h"
#include "rpn/rpn-impl.h"

static sd_error unusable(const std::string & checkpoint, const std::string & why) {
    return checkpoint_invalid(checkpoint, "gives files that cannot be used: " + why);
}

// what `check` refuses is the checkpoint's fault
template <typename Check> static void checked(const std::string & checkpoint, Check check) {
    try {
        check();
    } catch (const sd_error & e) {
        throw e.code == std::string("IO_ERROR") || e.code == std::string("CHECKPOINT_INVALID") ? e : unusable(checkpoint, e.what());
    }
}

void convert_check_model(const std::string & path, const std::string & checkpoint) {
    checked(checkpoint, [&] {
        sd_backend_init();
        sd_model_info info;
        sd_model_check_header(path, info);
        // with vocabulary and shapes, without weights
        llama_model_params params = llama_model_default_params();
        ggml_backend_dev_t no_devices[] = { nullptr };
        params.devices = no_devices;
        params.n_gpu_layers = 0;
        params.load_mode = LLAMA_LOAD_MODE_NONE;
        params.no_alloc = true;
        sd_log_take_error();
        llama_model * model = llama_model_load_from_file(path.c_str(), params);
        if (!model) {
            throw unusable(checkpoint, "llama.cpp refuses model.gguf: " + sd_log_take_error());
        }
        llama_model_free(model);
    });
}

void convert_check_mmproj(const std::string & path, const std::string & checkpoint, int n_embd) {
    checked(checkpoint, [&] {
        sd_vision_info info;
        sd_vision_check_header(info, path, n_embd);
    });
}

void convert_check_rpn(const std::string & path, const std::string & checkpoint) {
    checked(checkpoint, [&] {
        gguf_file f;
        gguf_file_open(f, path, "RPN", "RPN_INVALID");
        rpn_hparams hp;
        rpn_read_hparams(f, hp);
        for (const auto & list : { rpn_file_tensors(hp, GGML_TYPE_F32), rpn_gate_tensors(hp, GGML_TYPE_F32) }) {
            for (const rpn_file_tensor & t : list) {
                t.ne1 ? f.matrix(t.name, t.ne0, t.ne1) : f.vector(t.name, t.ne0);
            }
        }
    });
}
