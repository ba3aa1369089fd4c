// Which kernels this machine can run, and the choice among them.
#include <cstdlib>
#include <string>

#include "backend/backend.h"
#include "backend/cpu/tables.h"
#include "core/check.h"

namespace reasonrec {

const std::vector<const Kernels*>& cpu_kernels() {
  static const std::vector<const Kernels*> all = [] {
    std::vector<const Kernels*> found{scalar_kernels()};
    for (const Kernels* kernels : {avx2_kernels(), avx512_kernels(), avx512bf16_kernels()})
      if (kernels) found.push_back(kernels);
    return found;
  }();
  return all;
}

const Kernels& select_cpu_kernels() {
  const auto& all = cpu_kernels();
  const char* wanted = std::getenv("REASONREC_ISA");
  if (!wanted || !*wanted) return *all.back();
  std::string names;
  for (const Kernels* kernels : all) {
    if (std::string(wanted) == kernels->name) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  throw Error("RR_ISA_UNAVAILABLE",
              "the instruction set of REASONREC_ISA cannot be used on this machine",
              "one of: " + names, wanted, "unset REASONREC_ISA to take the best one");
}

}  // namespace reasonrec
