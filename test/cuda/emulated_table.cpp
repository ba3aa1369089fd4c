// The table that is linked into the emulator's tests.
#include "backend/cuda/emu/cuda_emu.h"
#include "device.h"

namespace reasonrec::test {

const cuda::Table& device_table() {
  static const cuda::Table* const table = reasonrec_cuda_table(cuda::kAbi);
  return *table;
}

void use_order(uint64_t seed) { emu::set_seed(seed); }

void under_every_order(void (*body)(uint64_t seed)) {
  for (const uint64_t seed : {0, 1, 2}) {
    emu::set_seed(seed);
    body(seed);
  }
}

}  // namespace reasonrec::test
