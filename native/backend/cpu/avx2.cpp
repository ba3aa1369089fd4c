// The AVX2 kernels: eight lanes and fused products, for machines without AVX-512. Under a target
// pragma as avx512.cpp is, and for the same reason every header comes before it.
#include "backend/backend.h"
#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/tables.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace reasonrec {
namespace avx2_isa {
#include "backend/cpu/isa/vec_avx2.h"
#include "backend/cpu/kernels.inl"
}  // namespace avx2_isa
}  // namespace reasonrec
#pragma GCC pop_options

namespace reasonrec {
const Kernels* avx2_kernels() {
  static Kernels table;
  static const bool able = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const bool filled = able && (table = avx2_isa::kernel_table("avx2"), true);
  return filled ? &table : nullptr;
}
}  // namespace reasonrec
#else
namespace reasonrec {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace reasonrec
#endif
