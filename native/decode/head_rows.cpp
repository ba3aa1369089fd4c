#include "decode/head_rows.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"

namespace reasonrec {

void check_finite(const float* values, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i]))
      throw Error("RR_NON_FINITE", "the model's output is not finite", "finite logits",
                  std::to_string(values[i]), "look for NaN or inf in the weights or the adapter");
}

const float* gather_hidden(Buffer& buffer, const std::vector<const float*>& rows, int64_t h) {
  buffer.resize(int64_t(rows.size()) * h);
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(rows[i], h, buffer.data() + int64_t(i) * h);
  return buffer.data();
}

void head_logits(const Context& context, const Model& model, const float* hidden, int64_t n,
                 AllowedTokens allowed, float inv_temperature, float* logits, float* lse,
                 float* entropy) {
  context.kernels->head_forward(context, nullptr, entropy, lse, logits, hidden, model.head(),
                                nullptr, allowed, inv_temperature, n, model.config().hidden,
                                model.config().vocab);
  check_finite(lse, n);
}

}  // namespace reasonrec
