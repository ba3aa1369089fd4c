// The table of libreasonrec_cuda.so, for the same cases on a GPU. REASONREC_CUDA_LIBRARY names the
// file. Without a GPU every case says so and is skipped.
#include "backend/cuda/library.h"
#include "device.h"

namespace reasonrec::test {

const cuda::Table& device_table() {
  const cuda::Library& library = cuda::library();
  if (!library.table || library.devices == 0) skip(library.reason);
  return *library.table;
}

void use_order(uint64_t) {}
void under_every_order(void (*body)(uint64_t seed)) {
  for (const uint64_t seed : {0, 1, 2}) body(seed);
}

}  // namespace reasonrec::test
