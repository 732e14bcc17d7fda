#include "backend.h"

#include "llama.h"
#include "log.h"

#ifdef SD_RPN_CUDA
#include "rpn-head-op.h"
#include "rpn/head.h"
#endif

#include <mutex>

static bool has_cuda_kernel = false; // written before any device is used

void sd_backend_init() {
    static std::once_flag once;
    std::call_once(once, [] {
        sd_log_install();
        // Touching the registry registers what is linked in. Left empty, llama_backend_init would search the working
        // directory and the PATH for libraries to load into the host.
        ggml_backend_dev_count();
        llama_backend_init();
#ifdef SD_RPN_CUDA
        has_cuda_kernel = rpn_head_cuda_register(rpn_head_op);
#endif
    });
}

ggml_backend_dev_t sd_backend_gpu() {
    ggml_backend_dev_t dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
    return dev ? dev : ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_IGPU);
}

ggml_backend_dev_t sd_backend_cpu() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
}

std::string sd_backend_name(ggml_backend_dev_t dev) {
    return ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev));
}

std::string sd_backend_device(ggml_backend_dev_t dev) {
    return ggml_backend_dev_description(dev);
}

bool sd_backend_has_head_kernel(ggml_backend_dev_t dev) {
    return has_cuda_kernel && sd_backend_name(dev) == "CUDA";
}
