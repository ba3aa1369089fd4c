// What a .cu file includes first: the CUDA runtime under nvcc, the emulator under g++. Four macros
// hide what the two spell differently:
//   RR_SHARED(T, name, count)                        a static __shared__ array
//   RR_LAUNCH(kernel, grid, block, stream, args...)  kernel<<<grid, block, 0, stream>>>(args...)
//   RR_UNROLL, RR_NO_UNROLL                          #pragma unroll, and its opposite
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#define RR_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define RR_LAUNCH(kernel, grid, block, stream, ...) \
  (kernel)<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__)
#define RR_UNROLL _Pragma("unroll")
#define RR_NO_UNROLL _Pragma("unroll 1")
#else
#include "backend/cuda/emu/cuda_emu.h"
#define RR_SHARED(T, name, count) \
  T* const name = static_cast<T*>(::reasonrec::emu::shared_array(sizeof(T) * (count), RR_EMU_SITE))
#define RR_LAUNCH(kernel, grid, block, stream, ...) \
  ((void)(stream),                                  \
   ::reasonrec::emu::launch(#kernel, (grid), (block), [&] { (kernel)(__VA_ARGS__); }))
#define RR_UNROLL
#define RR_NO_UNROLL
#endif
