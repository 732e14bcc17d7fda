// The files of training: checkpoints that go on bit for bit, what is saved, and the base model that it starts from.

#include "rpn/rpn.h"
#include "test.h"
#include "train-data.h"
#include "train/schedule.h"

#include "ggml-cpp.h"
#include "gguf.h"
#include "llama.h"

#include <algorithm>

static void check_resume() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    auto run = [&](rpn_trainer * t, int from, int to) {
        double loss = 0;
        for (int i = from; i < to; i++) {
            loss = train_step(t, b, rpn_train_lr(1e-2, i + 1, 8, 0.25)).loss;
        }
        return loss;
    };
    rpn_trainer_ptr whole = rpn_train_init(train_start(), {}, nullptr);
    const double before = run(whole.get(), 0, 1), loss = run(whole.get(), 1, 6);
    CHECK(loss < 0.9 * before);

    const std::string path = test_temp("train-checkpoint.gguf"), note = "{\"epoch\": 1, \"at\": \"\u00e9\"}";
    rpn_trainer_ptr half = rpn_train_init(train_start(), {}, nullptr);
    run(half.get(), 0, 3);
    rpn_train_checkpoint(half.get(), path, note);
    std::string got;
    rpn_trainer_ptr rest = rpn_train_resume(path, {}, nullptr, got);
    CHECK(got == note);
    CHECK(rpn_train_n_steps(rest.get()) == 3);
    CHECK(run(rest.get(), 3, 6) == loss);
    for (char what : { 'w', 'm', 'v' }) {
        CHECK(train_tensors(rest.get(), what) == train_tensors(whole.get(), what));
    }
    CHECK(rpn_train_n_steps(rest.get()) == 6);

    // a checkpoint is an RPN file
    const rpn_weights w = rpn_weights_load(path);
    CHECK(w.tensors.at("blk.0.attn_q.weight") == rpn_train_tensor(half.get(), "blk.0.attn_q.weight", 'w'));
    CHECK(rpn_get_hparams(rpn_load(path, nullptr, 1).get()).branch == train_start().hp.branch);

    // not between samples and their step, and not from a file without moments
    rpn_train_accumulate(half.get(), b.samples[0]);
    CHECK_CODE(rpn_train_checkpoint(half.get(), path, ""), "INVALID_ARGUMENT");
    CHECK_CODE(rpn_train_resume(test_temp("train-start-random.gguf"), {}, nullptr, got), "RPN_INVALID");
    CHECK_CODE(rpn_train_resume(test_temp("nothing.gguf"), {}, nullptr, got), "MODEL_NOT_FOUND");
    CHECK(rpn_train_resume(path, {}, nullptr, got)); // what was refused left the file as it was
    std::string bytes = test_read(path);
    test_write(test_temp("train-cut.gguf"), bytes.substr(0, bytes.size() / 2));
    CHECK_CODE(rpn_train_resume(test_temp("train-cut.gguf"), {}, nullptr, got), "RPN_INVALID");
    CHECK_CODE(rpn_train_checkpoint(whole.get(), test_temp("no/such/directory.gguf"), ""), "IO_ERROR");
}

static void check_save() {
    const train_batch b = train_random_batch(TRAIN_SIZES.n_embd);
    rpn_trainer_ptr t = rpn_train_init(train_start(), {}, nullptr);
    train_step(t.get(), b, 1e-2);
    const rpn_train_sample & s = b.samples[0];
    const std::vector<float> logits = rpn_train_score(t.get(), s);
    const struct {
        const char * type;
        double limit;
    } types[] = { { "f32", 1e-5 }, { "f16", 3e-3 }, { "q8_0", 3e-2 } };
    for (const auto & type : types) {
        const std::string path = test_temp(std::string("train-saved-") + type.type + ".gguf");
        rpn_train_save(t.get(), path, type.type, 0.2f);
        rpn_ptr rpn = rpn_load(path, nullptr, 1);
        CHECK(rpn_get_hparams(rpn.get()).threshold == 0.2f);
        CHECK(rpn_get_hparams(rpn.get()).type == type.type);
        rpn_hidden h;
        rpn_hidden_reset(rpn.get(), h, s.n_tokens);
        rpn_hidden_set(h, s.hidden, s.n_tokens);
        CHECK_LE(rel_l2(rpn_score(rpn.get(), h, s.img_start, s.n_img, s.i_query), logits), type.limit);
    }
    for (const auto & [name, values] : rpn_weights_load(test_temp("train-saved-f32.gguf")).tensors) {
        CHECK(values == rpn_train_tensor(t.get(), name, 'w'));
    }
    CHECK_CODE(rpn_train_save(t.get(), test_temp("x.gguf"), "q3", 0), "INVALID_ARGUMENT");
}

// --- the base model's own layers

static void check_base() {
    const std::string model = test_demo("pico-llava-f16.gguf");
    const rpn_weights w = rpn_weights_from_base(model, 3, 3);
    CHECK(w.hp.n_embd == 192 && w.hp.n_ff == 512 && w.hp.n_head == 4 && w.hp.base_n_layer == 6 && w.hp.branch == 3 && w.hp.n_block == 3);
    ggml_context * data = nullptr;
    gguf_context_ptr file(gguf_init_from_file(model.c_str(), { false, &data }));
    ggml_context_ptr holder(data);
    const struct {
        const char *ours, *theirs;
    } same[] = {
        { "blk.0.attn_q.weight", "blk.3.attn_q.weight" },
        { "blk.1.ffn_down.weight", "blk.4.ffn_down.weight" },
        { "blk.2.attn_k.weight", "blk.5.attn_k.weight" },
        { "blk.2.attn_norm.weight", "blk.5.attn_norm.weight" },
        { "output_norm.weight", "output_norm.weight" },
    };
    for (const auto & s : same) {
        const ggml_tensor * x = ggml_get_tensor(data, s.theirs);
        std::vector<float> expected(ggml_nelements(x));
        if (x->type == GGML_TYPE_F16) {
            ggml_fp16_to_fp32_row(static_cast<const ggml_fp16_t *>(x->data), expected.data(), ggml_nelements(x));
        } else {
            CHECK(x->type == GGML_TYPE_F32);
            std::copy_n(static_cast<const float *>(x->data), expected.size(), expected.begin());
        }
        CHECK(w.tensors.at(s.ours) == expected);
    }

    const std::string quantized = test_temp("train-base-q8_0.gguf");
    llama_model_quantize_params q = llama_model_quantize_default_params();
    q.ftype = LLAMA_FTYPE_MOSTLY_Q8_0;
    q.nthread = 1;
    CHECK(llama_model_quantize(model.c_str(), quantized.c_str(), &q) == 0);
    const rpn_weights w8 = rpn_weights_from_base(quantized, 3, 3);
    double worst = 0;
    for (const auto & [name, values] : w.tensors) {
        worst = std::max(worst, rel_l2(w8.tensors.at(name), values));
    }
    CHECK_LE(worst, 1e-2);
    CHECK(worst > 1e-4);

    // it trains
    train_batch b;
    b.add(train_random_values(40 * 192, 1), 192, 2, 39, train_random_labels(30, 2));
    rpn_trainer_ptr t = rpn_train_init(w8, {}, nullptr);
    const double before = train_step(t.get(), b, 1e-3).loss;
    for (int i = 0; i < 4; i++) {
        train_step(t.get(), b, 1e-3);
    }
    CHECK_LE(train_step(t.get(), b, 1e-3).loss, 0.8 * before);

    CHECK_CODE(rpn_weights_from_base(model, 4, 3), "INVALID_ARGUMENT");
    CHECK_CODE(rpn_weights_from_base(model, 0, 3), "INVALID_ARGUMENT");
    CHECK_CODE(rpn_weights_from_base(model, 3, 0), "INVALID_ARGUMENT");
    CHECK_CODE(rpn_weights_from_base(test_demo("pico-mmproj-f16.gguf"), 3, 3), "MODEL_INVALID");
    CHECK_CODE(rpn_weights_from_base(test_temp("nothing.gguf"), 3, 3), "MODEL_NOT_FOUND");
}

int main() {
    return test_main("train-file", [] {
        check_resume();
        check_save();
        check_base();
    });
}
