// Rotary embedding in the half-split layout (ops/rope.h), in place: a thread turns one pair (j,
// j + d / 2) of one head of one row. Bound by bytes: x read and written once.
#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

template <class T>
__global__ void rope_kernel(T* x, const int32_t* positions, const float* cos, const float* sin,
                            int64_t pairs, int heads, int half, float sign) {
  const int64_t i = element_index();
  if (i >= pairs) return;
  const int64_t j = i % half, head = i / half;
  const int64_t angle = positions[head / heads] * int64_t(half) + j;
  T* low = x + head * 2 * half + j;
  const float a = widen(low[0]), b = widen(low[half]), c = cos[angle], s = sin[angle] * sign;
  low[0] = narrow<T>(a * c - b * s);
  low[half] = narrow<T>(b * c + a * s);
}

int32_t rope(Stream stream, DataType type, void* x, const int32_t* positions, const float* cos,
             const float* sin, int64_t t, int32_t heads, int32_t head_dim, int32_t inverse) {
  const int half = head_dim / 2;
  const int64_t pairs = t * heads * half;
  if (pairs == 0) return cudaSuccess;
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    RR_LAUNCH((rope_kernel<T>), dim3(blocks_for(pairs, kElementThreads)), dim3(kElementThreads),
              native(stream), static_cast<T*>(x), positions, cos, sin, pairs, heads, half,
              inverse ? -1.0f : 1.0f);
  });
}

}  // namespace

void fill_rope(Table& table) { table.rope = rope; }

}  // namespace reasonrec::cuda
