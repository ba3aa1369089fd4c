// CUDA on a CPU, for tests: kernels written for nvcc compile under g++ with this header in place of
// <cuda_runtime.h>. A block's threads are fibers of one OS thread; barriers and warp operations are
// the points where they change over, in an order drawn from a seed. Blocks run one after the other,
// in an order drawn from the same seed.
//
// What it finds: wrong indices (with AddressSanitizer), wrong masks, reads of shared memory nobody
// wrote (it starts as NaN in every block), barriers that are missing (another seed, another result)
// or that not all threads reach (an error with both places named).
// What it does not find: races between two barriers that no order of whole threads shows, memory
// ordering, the rounding of the device's own exp or tensor cores, and anything about speed.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

// Of the thread that is running now.
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace reasonrec::emu {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Seed 0: threads and blocks in ascending order. An odd seed: all threads in turn, in an order of
// its own at every change. An even one: a warp after the other in such an order, each as far as it
// comes before a barrier of the block, so that warps run ahead of one another.
void set_seed(uint64_t seed);
// Runs every thread of every block. Throws Error naming the kernel and the place.
void launch(const char* kernel, dim3 grid, dim3 block, const std::function<void()>& thread);

struct Site {
  const char* file;
  int line;
};
// Waits until every thread of the block is at this very place.
void block_barrier(Site);
// Every lane of the warp gives `bytes` bytes and gets all 32 lanes', one after the other, `bytes`
// apart; valid until the lane's next warp operation. All 32 lanes must come.
const char* warp_exchange(const void* mine, size_t bytes, Site);
// The block's array of this place in the code; filled with 0xFF (NaN) when a block begins.
void* shared_array(size_t bytes, Site);
unsigned lane();

template <class T>
T shuffle(T value, unsigned from, Site site) {
  T out;
  std::memcpy(&out, warp_exchange(&value, sizeof value, site) + from % 32 * sizeof value,
              sizeof out);
  return out;
}

}  // namespace reasonrec::emu

#define RR_EMU_SITE (::reasonrec::emu::Site{__builtin_FILE(), __builtin_LINE()})

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  reasonrec::emu::block_barrier({file, line});
}
inline void __syncwarp(unsigned = ~0u, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  const char none = 0;
  reasonrec::emu::warp_exchange(&none, 1, {file, line});
}
template <class T>
T __shfl_sync(unsigned, T v, int from, int = 32, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  return reasonrec::emu::shuffle(v, unsigned(from), {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned, T v, int mask, int = 32, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  return reasonrec::emu::shuffle(v, reasonrec::emu::lane() ^ unsigned(mask), {file, line});
}
inline unsigned __ballot_sync(unsigned, bool vote, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  const char mine = vote;
  const char* all = reasonrec::emu::warp_exchange(&mine, 1, {file, line});
  unsigned bits = 0;
  for (unsigned l = 0; l < 32; ++l) bits |= unsigned(all[l]) << l;
  return bits;
}
template <class T>
T atomicAdd(T* at, T value) {  // no two fibers run at once
  const T old = *at;
  *at += value;
  return old;
}

// ---- numbers ------------------------------------------------------------------------------------
struct __nv_bfloat16 {
  uint16_t bits;
};
inline float __bfloat162float(__nv_bfloat16 b) {
  const uint32_t wide = uint32_t(b.bits) << 16;
  float out;
  std::memcpy(&out, &wide, 4);
  return out;
}
inline __nv_bfloat16 __float2bfloat16(float x) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline unsigned __popc(unsigned x) { return unsigned(__builtin_popcount(x)); }

// ---- the runtime's memory, on the host's heap
// -----------------------------------------------------
using cudaStream_t = void*;
using cudaError_t = int;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2 };
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int multiProcessorCount, major, minor;
};
inline cudaError_t cudaMalloc(void** to, size_t bytes) {
  *to = std::malloc(bytes);
  if (*to) std::memset(*to, 0xFF, bytes);  // NaN until something is written
  return *to ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* p) { return std::free(p), cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind,
                                   cudaStream_t) {
  if (n > 0) std::memcpy(to, from, n);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t n, cudaStream_t) {
  if (n > 0) std::memset(to, value, n);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t* s) { return *s = nullptr, cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* n) { return *n = 1, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {"CPU emulator", 0, 1, 0, 0};
  return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t e) {
  return e == cudaErrorMemoryAllocation ? "out of memory" : e ? "invalid argument" : "no error";
}
