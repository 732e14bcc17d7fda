#pragma once

// Training of the region proposal network (SD-RPN, arXiv 2509.16944) on hidden states of the frozen base
// model: masked binary cross entropy of the map against pseudo-labels, through ggml's own backward pass and AdamW step.
// Trained are all tensors of an RPN file: the full layers, the twig norm, and input norm, q and k of the last block.
//
// Everything stays in the layout of the RPN file (llama.cpp's order of rope rows): AdamW works per value and norms do not
// depend on the order, so the result is the same as in the published layout, and nothing is permuted on saving.

#include "weights.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct rpn_train_params {
    float beta1 = 0.9f;
    float beta2 = 0.98f;
    float eps = 1e-8f;
    float weight_decay = 0.0f;
    float max_grad_norm = 1.0f; // clipping by the norm of all gradients together; 0: none
    int n_threads = 1;          // of the CPU, for one sample; for narrow networks 1 is fastest, see choose_threads in model.cpp
    int n_workers = 1;          // samples computed at the same time, each with its own gradients; always 1 on devices other than the CPU
};

// One prompt. Tokens after the query are ignored.
struct rpn_train_sample {
    const float * hidden = nullptr; // [n_tokens * n_embd], after base layers 0..K-1
    int n_tokens = 0;
    int img_start = 0; // image tokens are [img_start, img_start + n_img)
    int n_img = 0;
    int i_query = 0;
    const int8_t * labels = nullptr;     // [n_img]: 1, 0, or -100 for cells without a label
    const int32_t * positions = nullptr; // [n_pos_rows * n_tokens], row after row; null: indexes, where there is one row
};

struct rpn_train_result {
    double loss = 0;      // mean over the labelled cells of all samples, before the step
    double grad_norm = 0; // of that mean, before clipping
    int64_t n_cells = 0;
};

// Sums over samples that were not trained on.
struct rpn_train_metrics {
    double loss_sum = 0;
    int64_t n_cells = 0, n_true_pos = 0, n_false_pos = 0, n_false_neg = 0; // positive: probability above 0.5

    double loss() const { return n_cells ? loss_sum / double(n_cells) : 0; }
    double precision() const { return n_true_pos + n_false_pos ? double(n_true_pos) / double(n_true_pos + n_false_pos) : 0; }
    double recall() const { return n_true_pos + n_false_neg ? double(n_true_pos) / double(n_true_pos + n_false_neg) : 0; }
};

struct rpn_trainer;
struct rpn_trainer_deleter {
    void operator()(rpn_trainer * t) const;
};
using rpn_trainer_ptr = std::unique_ptr<rpn_trainer, rpn_trainer_deleter>;

struct ggml_backend_device;

// dev null: the CPU. Throws INVALID_ARGUMENT, OUT_OF_MEMORY, BACKEND_UNAVAILABLE.
rpn_trainer_ptr rpn_train_init(const rpn_weights & start, const rpn_train_params & params, ggml_backend_device * dev);

// The calls below check the flag before each sample, and throw ABORTED if it is set; null: none. It must outlive its use.
void rpn_train_set_cancel(rpn_trainer * t, const std::atomic<bool> * cancel);

// Adds a sample's loss and gradients to those of the next step. Samples may differ in all their sizes; each labelled cell
// of the step weighs the same. Returns the sample's own mean loss (0 where no cell is labelled). Throws INVALID_ARGUMENT.
double rpn_train_accumulate(rpn_trainer * t, const rpn_train_sample & sample);

// The same for many, by all workers; returns the mean loss over their labelled cells. If one of them is invalid, none
// is added; on any other error everything accumulated is dropped. The last bits of the sums depend on the
// number of workers, but not on which of them is faster.
double rpn_train_accumulate(rpn_trainer * t, const std::vector<rpn_train_sample> & samples);

// drops what has been accumulated
void rpn_train_clear(rpn_trainer * t);

// One AdamW step on what has been accumulated, which is dropped afterwards, and on any error during the step. Throws
// INVALID_ARGUMENT where no labelled cell has been, and where the gradients are not finite: the learning rate is too high (the
// weights are then as before the step); OUT_OF_MEMORY (as before the step too).
rpn_train_result rpn_train_step(rpn_trainer * t, double lr);

// n_img logits of the weights as they are; labels may be null
std::vector<float> rpn_train_score(rpn_trainer * t, const rpn_train_sample & sample);

// adds a sample to the metrics; weights and gradients stay as they are
void rpn_train_eval(rpn_trainer * t, const rpn_train_sample & sample, rpn_train_metrics & metrics);
void rpn_train_eval(rpn_trainer * t, const std::vector<rpn_train_sample> & samples, rpn_train_metrics & metrics); // by all workers

int64_t rpn_train_n_steps(const rpn_trainer * t); // steps done, over all resumes
const rpn_hparams & rpn_train_hparams(const rpn_trainer * t);

// The weights as they are; `what` 'w'. For tests and diagnosis also 'g': gradient of the mean loss of what has been
// accumulated; 'm', 'v': AdamW's moments. Throws INVALID_ARGUMENT for an unknown tensor.
std::vector<float> rpn_train_tensor(const rpn_trainer * t, const std::string & name, char what);

// The RPN file. type: "f32", "f16", "q8_0" or "q4_k". Throws IO_ERROR, and INVALID_ARGUMENT where the type cannot hold a weight
// (f16 ends at 65,504); then nothing has been written.
void rpn_train_save(const rpn_trainer * t, const std::string & path, const std::string & type, float threshold);

// A checkpoint: an RPN file of type f32 that also holds the moments, the step count, and `note`, where the caller keeps its
// place in the data. A resumed training gives the same bits (on the same kind of device, with as many workers and the same other
// parameters, which are not in the file). Throws INVALID_ARGUMENT between rpn_train_accumulate and rpn_train_step,
// where a part of the state would be lost; IO_ERROR.
void rpn_train_checkpoint(const rpn_trainer * t, const std::string & path, const std::string & note);

// The note alone. Throws MODEL_NOT_FOUND, RPN_INVALID (also for an RPN file that is not a checkpoint).
std::string rpn_train_note(const std::string & path);

// Returns the note. Throws as rpn_train_note, IO_ERROR.
rpn_trainer_ptr rpn_train_resume(const std::string & path, const rpn_train_params & params, ggml_backend_device * dev, std::string & note);
