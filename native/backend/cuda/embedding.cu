// Rows of a table by token id, into the fp32 residual stream. One block a row. The gradient is
// scatter_add_rows over the ids' rows (rows.cu).
#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

template <class T>
__global__ void embedding_kernel(float* y, const int32_t* ids, const T* table, int64_t h) {
  const int64_t row = blockIdx.x;
  const T* from = table + ids[row] * h;
  for (int64_t j = threadIdx.x; j < h; j += kElementThreads) y[row * h + j] = widen(from[j]);
}

int32_t embedding_forward(Stream stream, DataType type, float* y, const int32_t* ids,
                          const void* table, int64_t t, int64_t h) {
  if (t == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((embedding_kernel<T>), dim3(unsigned(t)), dim3(kElementThreads), native(stream), y,
              ids, static_cast<const T*>(table), h);
  });
}

}  // namespace

void fill_embedding(Table& table) { table.embedding_forward = embedding_forward; }

}  // namespace reasonrec::cuda
