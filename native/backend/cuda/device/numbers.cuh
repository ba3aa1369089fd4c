// Numbers of two storage types, sums over a warp, and what every launcher needs.
#pragma once
#include <cstdint>
#include <type_traits>

#include "backend/cuda/device/platform.h"
#include "backend/cuda/table.h"

namespace reasonrec::cuda {

using bf16 = __nv_bfloat16;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(bf16 x) { return __bfloat162float(x); }
template <class T>
__device__ inline T narrow(float x);
template <>
__device__ inline float narrow<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 narrow<bf16>(float x) {
  return __float2bfloat16(x);
}

// Two neighbouring values, as a matrix fragment holds them.
template <class T>
struct alignas(2 * sizeof(T)) Pair {
  T low, high;
};
template <class T>
__device__ inline Pair<T> narrow_pair(float low, float high) {
  return {narrow<T>(low), narrow<T>(high)};
}

// Over the 32 lanes, one order; every lane gets the result.
__device__ inline float warp_sum(float v) {
  RR_UNROLL
  for (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(kAllLanes, v, o);
  return v;
}
// Over the four lanes that hold one row of a fragment of accumulators.
__device__ inline float quad_sum(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}
__device__ inline float quad_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, 1));
  return fmaxf(v, __shfl_xor_sync(kAllLanes, v, 2));
}

inline cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream); }

// Calls f with a value of the storage type; f launches, or asks for a further type and returns
// what that said.
template <class Tag, class F>
int32_t call_with(Tag tag, F&& f) {
  if constexpr (std::is_void_v<decltype(f(tag))>)
    f(tag);
  else if (const int32_t error = f(tag))
    return error;
  return cudaGetLastError();
}
template <class F>
int32_t with_type(DataType type, F&& f) {
  if (type == kBF16) return call_with(bf16{}, f);
  if (type == kF32) return call_with(float{}, f);
  return cudaErrorInvalidValue;
}

inline unsigned blocks_for(int64_t items, int64_t per_block) {
  return unsigned((items + per_block - 1) / per_block);
}

inline constexpr int kElementThreads = 256;
// One thread an element; the index of this thread's.
__device__ inline int64_t element_index() {
  return int64_t(blockIdx.x) * kElementThreads + threadIdx.x;
}

}  // namespace reasonrec::cuda
