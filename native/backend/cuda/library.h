// Finds libreasonrec_cuda.so, which is built apart (npm run build:cuda) because most machines have
// no nvcc: REASONREC_CUDA_LIBRARY, else beside the addon. Opened once, when somebody first asks;
// without it, or without a GPU, one sentence says why.
#pragma once
#include <string>

#include "backend/cuda/table.h"

namespace reasonrec::cuda {

struct Library {
  const Table* table = nullptr;  // null: no library that fits this program
  int32_t devices = 0;           // GPUs that answer
  DeviceInfo device{};           // the first of them
  std::string path;              // where the library was looked for
  std::string reason;            // why there is no table or no device; empty if there are both
};

const Library& library();
// The same for a given file; for tests.
Library open_library(const std::string& path);

}  // namespace reasonrec::cuda
