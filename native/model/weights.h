// The base model's weights, packed for the kernels. Stored in safetensors files (fp32, bf16, fp16)
// or a GGUF file (those and ten block formats), mapped, not read; held as panels of fp32 or bf16,
// once they are used a second time. Both packings of a weight exist only where a backward runs.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/job.h"
#include "core/workspace.h"
#include "model/config.h"
#include "model/panel_store.h"
#include "model/parameters.h"
#include "ops/linear_lora.h"

namespace reasonrec {

struct LayerWeights {
  LinearWeight linear[kLinears];
  const float *input_norm = nullptr, *post_norm = nullptr;  // (H)
  const float *q_norm = nullptr, *k_norm = nullptr;         // (d) or null
};

// Where a layer's parameters begin in Model::layout(), -1 for those it has not.
struct LayerOffsets {
  int64_t weight[kLinears], bias[kLinears];
  int64_t input_norm = -1, post_norm = -1, q_norm = -1, k_norm = -1;
};

class Model {
 public:
  // files: every safetensors file of the folder, or a GGUF file or its parts, the first one first.
  // Throws RR_MISSING_TENSOR, RR_SHAPE_MISMATCH, RR_UNEXPECTED_TENSOR, RR_BAD_SAFETENSORS,
  // RR_BAD_GGUF, RR_UNSUPPORTED_QUANTISATION, RR_NON_FINITE_WEIGHTS with the tensor named. The job
  // counts tensors.
  static std::unique_ptr<Model> load(const Context&, const ModelConfig&,
                                     const std::vector<std::string>& files,
                                     WeightType = WeightType::kAuto, const Job& = {});
  // Random weights (normal, sd `deviation`; norms 1, biases 0) by Philox: tests, benches,
  // pre-training from scratch.
  static std::unique_ptr<Model> random(const Context&, const ModelConfig&, uint64_t seed,
                                       float deviation, WeightType = WeightType::kF32);
  ~Model();

  const ModelConfig& config() const;
  WeightType type() const;  // kF32 or kBF16
  int64_t bytes() const;    // held for weights, packed, master and rotary tables
  const LayerWeights& layer(int64_t l) const;
  const Table& embedding() const;   // (V, H)
  const float* final_norm() const;  // (H)
  Panels head() const;              // (H, V)
  Panels head_backward() const;     // (V, H); empty until prepare_backward()
  const float* rope_cos() const;    // (positions, d / 2)
  const float* rope_sin() const;
  int64_t most_positions() const;  // max_position, at most 131072

  // Before every forward, of positions [0, positions): the tables of angles grow to them. The first
  // forward reads bf16 weights from their files, the second packs them.
  void prepare_forward(const Context&, int64_t positions) const;
  void prepare_backward(const Context&);  // packs the transposed panels once

  // Full-parameter mode: one flat master of every weight under its checkpoint name (a tied head is
  // one parameter, model.embed_tokens.weight). Decay on 2-D weights only. Panels become fp32, but
  // for products in bf16.
  void make_trainable(const Context&);  // idempotent; builds the master from the packed weights
  bool trainable() const;
  const ParameterLayout& layout() const;  // valid always
  const LayerOffsets& offsets(int64_t l) const;
  const char* head_name() const;  // the parameter that head_backward's dhead belongs to
  float* values();                // null unless trainable
  void refresh(const Context&);   // packs everything from the master
  // safetensors fp32 from the master or the packed weights
  void save(const Context&, const std::string& file) const;

 private:
  Model();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reasonrec
