// Named tensors in one flat fp32 buffer: what an optimiser walks over, a checkpoint stores and an
// exporter names. Used for the adapter and, in full-parameter mode, for every weight.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

struct Parameter {
  std::string name;  // checkpoint name, e.g. "model.layers.0.self_attn.q_proj.weight"
  int64_t offset = 0, rows = 0, cols = 0;  // vectors have rows = 1
  bool decay = false;                      // weight decay applies (2-D weights)
  int64_t size() const { return rows * cols; }
};

struct ParameterLayout {
  std::vector<Parameter> entries;
  int64_t total = 0;
  const Parameter& at(const std::string& name) const;  // throws RR_UNKNOWN_TENSOR
  Parameter& append(const std::string& name, int64_t rows, int64_t cols, bool decay);
};

}  // namespace reasonrec
