// The AVX-512 kernels for machines that multiply pairs of bf16 as well: the bits of avx512.cpp in
// fp32 (the sources and their order are the same). The target pragma covers our own code only:
// every header comes before it, so that no inline function of the standard library is compiled for
// wide vectors and shared with others. Clang has another pragma and takes the portable kernels.
#include "backend/backend.h"
#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/tables.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,avx2")
namespace reasonrec {
namespace avx512bf16_isa {
// clang-format off: each builds on the ones before it
#include "backend/cpu/isa/vec_avx512.h"
#include "backend/cpu/isa/pairs_avx512bf16.h"
#include "backend/cpu/kernels.inl"
// clang-format on
}  // namespace avx512bf16_isa
}  // namespace reasonrec
#pragma GCC pop_options

namespace reasonrec {
const Kernels* avx512bf16_kernels() {
  static Kernels table;
  static const bool able =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("avx2");
  static const bool filled = able && (table = avx512bf16_isa::kernel_table("avx512bf16"), true);
  return filled ? &table : nullptr;
}
}  // namespace reasonrec
#else
namespace reasonrec {
const Kernels* avx512bf16_kernels() { return nullptr; }
}  // namespace reasonrec
#endif
