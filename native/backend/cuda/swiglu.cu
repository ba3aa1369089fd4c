// Gated feed-forward (ops/swiglu.h), element-wise. Bound by bytes: two reads and a write forward,
// three and two backward.
#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

__device__ inline float sigmoid(float g) { return 1.0f / (1.0f + expf(-g)); }

template <class T>
__global__ void swiglu_forward_kernel(T* y, const T* gate, const T* up, int64_t n) {
  const int64_t i = element_index();
  if (i >= n) return;
  const float g = widen(gate[i]);
  y[i] = narrow<T>(g * sigmoid(g) * widen(up[i]));
}

template <class T>
__global__ void swiglu_backward_kernel(T* dgate, T* dup, const T* dy, const T* gate, const T* up,
                                       int64_t n) {
  const int64_t i = element_index();
  if (i >= n) return;
  const float g = widen(gate[i]), u = widen(up[i]), d = widen(dy[i]), s = sigmoid(g);
  dgate[i] = narrow<T>(d * u * (s * (1.0f + g * (1.0f - s))));
  dup[i] = narrow<T>(d * (g * s));
}

int32_t swiglu_forward(Stream stream, DataType type, void* y, const void* gate, const void* up,
                       int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((swiglu_forward_kernel<T>), dim3(blocks_for(n, kElementThreads)),
              dim3(kElementThreads), native(stream), static_cast<T*>(y),
              static_cast<const T*>(gate), static_cast<const T*>(up), n);
  });
}

int32_t swiglu_backward(Stream stream, DataType type, void* dgate, void* dup, const void* dy,
                        const void* gate, const void* up, int64_t n) {
  if (n == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((swiglu_backward_kernel<T>), dim3(blocks_for(n, kElementThreads)),
              dim3(kElementThreads), native(stream), static_cast<T*>(dgate), static_cast<T*>(dup),
              static_cast<const T*>(dy), static_cast<const T*>(gate), static_cast<const T*>(up), n);
  });
}

}  // namespace

void fill_swiglu(Table& table) {
  table.swiglu_forward = swiglu_forward;
  table.swiglu_backward = swiglu_backward;
}

}  // namespace reasonrec::cuda
