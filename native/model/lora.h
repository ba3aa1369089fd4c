// Low-rank adapters (Hu et al. 2021), PEFT's conventions: y = W x + s B (A x), s = alpha / r, or
// alpha / sqrt(r) with rslora. A (r, in) starts uniform in +-1/sqrt(in), B (out, r) starts at zero.
//
// The adapter is never merged into the weights: it is carried as extra columns of the same product,
// y = [W | B] [x ; (sA) x], so decoding and training run one kernel and a bf16 base loses nothing.
// Master values are fp32 in one flat buffer; the panels are packed again after every update.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/workspace.h"
#include "model/config.h"
#include "model/parameters.h"
#include "ops/linear_lora.h"

namespace reasonrec {

// One adapted linear with values of its own (PEFT: rank_pattern, alpha_pattern,
// layers_to_transform).
struct LoraModule {
  int64_t layer = 0;
  Linear linear = kQ;
  int rank = 16;
  float alpha = 32;
};

struct LoraConfig {
  int rank = 16;
  float alpha = 32;
  bool rslora = false;
  std::array<bool, kLinears> targets{};  // which of the seven linears
  float dropout = 0;  // SFT only; one Philox mask per layer input (PEFT: one per linear)
  // Empty: every layer's targets with rank and alpha. Otherwise exactly these, each at most once.
  std::vector<LoraModule> modules;
  float scale() const;  // of rank and alpha
};

class Adapter {
 public:
  Adapter(const ModelConfig&, const LoraConfig&);
  void initialise(uint64_t seed);  // A uniform by Philox(seed, tensor index, element), B zero

  const LoraConfig& config() const;
  bool fits(const ModelConfig&) const;  // same layers and widths
  const ParameterLayout& layout()
      const;        // PEFT names: "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
  float* values();  // flat, layout().total floats
  const float* values() const;
  void refresh(const Context&);  // packs the panels again; call after values() changed
  // Throws RR_ADAPTER_NOT_READY before the first refresh().
  const LoraPanels& panels(int64_t layer, Linear) const;
  int64_t offset_a(int64_t layer, Linear) const;  // into values(), -1 without adapter
  int64_t offset_b(int64_t layer, Linear) const;
  int rank(int64_t layer, Linear) const;     // 0 without adapter
  float scale(int64_t layer, Linear) const;  // s = alpha / r, or alpha / sqrt(r)

  std::unique_ptr<Adapter> clone() const;  // values and panels
  // One adapter of rank r1 + r2 and scale 1 that acts like both: A stacked, s B side by side.
  // A linear that only one of them adapts gets zeros for the other, or, where one of them lists its
  // modules, the rank of that one. refresh() it before a forward.
  static std::unique_ptr<Adapter> concatenate(const ModelConfig&, const Adapter& first,
                                              const Adapter& second);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// A file's tensors into values(), names and shapes as in layout(); refresh() afterwards. Throws
// RR_MISSING_TENSOR, RR_UNEXPECTED_TENSOR, RR_SHAPE_MISMATCH, RR_NON_FINITE_WEIGHTS.
void load_adapter_values(Adapter&, const std::string& file);
// An adapter of these values. Nothing is allocated before the file's tensors were found to fit.
std::unique_ptr<Adapter> load_adapter(const ModelConfig&, const LoraConfig&,
                                      const std::string& file);
void save_adapter(const Adapter&, const std::string& file,
                  const std::map<std::string, std::string>& metadata);

// The adapters of a forward, in order: none, the frozen one, the trained one, or both.
struct AdapterStack {
  const Adapter* frozen = nullptr;
  const Adapter* trained = nullptr;
};

}  // namespace reasonrec
