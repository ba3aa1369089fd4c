// Names and places of tensors in a flat buffer.
#include "model/parameters.h"

#include "core/check.h"

namespace reasonrec {

const Parameter& ParameterLayout::at(const std::string& name) const {
  for (const Parameter& p : entries)
    if (p.name == name) return p;
  throw Error("RR_UNKNOWN_TENSOR", "there is no tensor " + name,
              std::to_string(entries.size()) + " known names", name);
}

Parameter& ParameterLayout::append(const std::string& name, int64_t rows, int64_t cols,
                                   bool decay) {
  entries.push_back({name, total, rows, cols, decay});
  total += rows * cols;
  return entries.back();
}

}  // namespace reasonrec
