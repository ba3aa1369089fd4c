// The norm is taken over the whole buffer, so it does not depend on how tensors lie in it; the
// update goes tensor by tensor, because decay is a property of the tensor.
#include "train/adamw.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"

namespace reasonrec {

AdamW::AdamW(int64_t parameters) : first(parameters), second(parameters) {}

double AdamW::step(const Context& context, const ParameterLayout& layout, float* values,
                   const float* gradients, const OptimiserStep& s) {
  check(first.size() == layout.total, "RR_SHAPE_MISMATCH",
        "the optimiser was made for another set of parameters", std::to_string(first.size()),
        std::to_string(layout.total));
  const double norm = std::sqrt(context.kernels->sum_of_squares(context, gradients, layout.total));
  if (!std::isfinite(norm)) return norm;
  const double scale = s.clip_norm > 0 ? std::min(1.0, double(s.clip_norm) / (norm + 1e-6)) : 1.0;
  ++steps_;
  for (const Parameter& p : layout.entries)
    context.kernels->adamw(context, values + p.offset, first.data() + p.offset,
                           second.data() + p.offset, gradients + p.offset, p.size(),
                           s.learning_rate, s.beta1, s.beta2, s.epsilon,
                           p.decay ? s.weight_decay : 0.0f, float(scale), steps_);
  return norm;
}

}  // namespace reasonrec
