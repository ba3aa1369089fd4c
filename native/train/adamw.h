// One optimiser step over a flat parameter buffer: global norm, clip min(1, c / (norm + 1e-6)),
// AdamW.
#pragma once
#include "backend/backend.h"
#include "model/parameters.h"

namespace reasonrec {

struct OptimiserStep {
  float learning_rate = 1e-4f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, weight_decay = 0;
  float clip_norm = 0;  // 0: no clipping
};

class AdamW {
 public:
  explicit AdamW(int64_t parameters);
  // Returns the gradient norm before clipping. A non-finite norm leaves everything unchanged.
  double step(const Context&, const ParameterLayout&, float* values, const float* gradients,
              const OptimiserStep&);
  int64_t steps() const { return steps_; }
  void restore(int64_t steps) { steps_ = steps; }
  Buffer first, second;  // moments, flat

 private:
  int64_t steps_ = 0;
};

}  // namespace reasonrec
