// The portable kernels: four lanes by the compiler's vectors, no instruction set assumed.
#include "backend/backend.h"
#include "backend/cpu/attention_tiles.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/tables.h"

namespace reasonrec {
namespace scalar_isa {
#include "backend/cpu/isa/vec_portable.h"
#include "backend/cpu/kernels.inl"
}  // namespace scalar_isa

const Kernels* scalar_kernels() {
  static const Kernels table = scalar_isa::kernel_table("scalar");
  return &table;
}

}  // namespace reasonrec
