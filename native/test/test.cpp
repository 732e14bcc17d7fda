#include "test.h"

#include "backend.h"

#include <cstdlib>

#include <filesystem>
#include <limits>
#include <memory>
#include <random>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#include "stb/stb_image.h"

int test_failures = 0;

double rel_l2(const std::vector<float> & a, const std::vector<float> & b) {
    if (a.size() != b.size() || a.empty()) {
        return std::numeric_limits<double>::infinity();
    }
    double diff = 0, norm = 0;
    for (size_t i = 0; i < a.size(); i++) {
        diff += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
        norm += double(b[i]) * b[i];
    }
    return std::sqrt(diff / norm);
}

std::string test_fixture(const std::string & name) {
    return std::string(SD_RPN_ROOT) + "/test/fixtures/" + name;
}

std::string test_demo(const std::string & name) {
    return std::string(SD_RPN_ROOT) + "/demo/" + name;
}

// of this process alone: tests run side by side
static const std::filesystem::path & scratch() {
    static const auto dir = std::filesystem::temp_directory_path() / ("sd-rpn-test-" + std::to_string(std::random_device{}()));
    return dir;
}

std::string test_temp(const std::string & name) {
    std::filesystem::create_directories(scratch());
    return (scratch() / name).u8string();
}

std::vector<uint8_t> test_load_rgb(const std::string & path, int & width, int & height) {
    int channels = 0;
    const std::unique_ptr<uint8_t, void (*)(void *)> data(stbi_load(path.c_str(), &width, &height, &channels, 3), stbi_image_free);
    if (!data) {
        throw sd_error("IMAGE_INVALID", "cannot load " + path);
    }
    return std::vector<uint8_t>(data.get(), data.get() + size_t(width) * height * 3);
}

int test_main(const char * name, const std::function<void()> & body) {
    printf("%s\n", name);
    try {
        body();
    } catch (const sd_error & e) {
        fprintf(stderr, "%s: %s: %s\n", name, e.code.c_str(), e.what());
        test_failures++;
    }
    std::error_code ec;
    std::filesystem::remove_all(scratch(), ec);
    printf("%s: %s\n", name, test_failures ? "FAILED" : "ok");
    return test_failures ? 1 : 0;
}

ggml_backend_device * test_device() {
    const char * name = getenv("SD_RPN_TEST_DEVICE");
    if (!name || std::string(name) != "gpu") {
        return nullptr;
    }
    sd_backend_init();
    if (!sd_backend_gpu()) {
        fprintf(stderr, "SD_RPN_TEST_DEVICE=gpu, but there is no GPU, or no backend for it in this build\n");
        exit(2);
    }
    return sd_backend_gpu();
}
