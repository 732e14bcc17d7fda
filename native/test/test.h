#pragma once

// What the native tests share: checks that report and count, and small numeric helpers.

#include "error.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct ggml_backend_device;

extern int test_failures;

#define CHECK(cond) \
    do { \
        if (!(cond)) { \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
            test_failures++; \
        } \
    } while (0)

#define CHECK_LE(value, limit) \
    do { \
        const double v_ = (value), l_ = (limit); \
        printf("  %-40s %.3g (limit %.3g)\n", #value, v_, l_); \
        if (!(v_ <= l_)) { \
            fprintf(stderr, "%s:%d: failed: %s = %g > %g\n", __FILE__, __LINE__, #value, v_, l_); \
            test_failures++; \
        } \
    } while (0)

// the call throws sd_error with this code
#define CHECK_CODE(call, expected) \
    do { \
        std::string code_ = "nothing thrown"; \
        try { \
            call; \
        } catch (const sd_error & e) { \
            code_ = e.code; \
        } \
        if (code_ != expected) { \
            fprintf(stderr, "%s:%d: expected %s from %s but got %s\n", __FILE__, __LINE__, expected, #call, code_.c_str()); \
            test_failures++; \
        } \
    } while (0)

// ||a - b|| / ||b||; infinite where the sizes differ
double rel_l2(const std::vector<float> & a, const std::vector<float> & b);

std::string test_fixture(const std::string & name); // path below test/fixtures
std::string test_demo(const std::string & name);    // path below demo
std::string test_temp(const std::string & name);    // path of a scratch file

// the device that SD_RPN_TEST_DEVICE=gpu asks for; null, the default: the host's processor
ggml_backend_device * test_device();

// RGB pixels of a picture file
std::vector<uint8_t> test_load_rgb(const std::string & path, int & width, int & height);

// runs one program: 0 when every check held
int test_main(const char * name, const std::function<void()> & body);
