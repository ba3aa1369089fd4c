// The library's table: memory, streams and errors here, kernels from their files.
#include "backend/cuda/table.h"

#include <cstring>

#include "backend/cuda/device/numbers.cuh"

namespace reasonrec::cuda {
namespace {

const char* error_text(int32_t error) { return cudaGetErrorString(cudaError_t(error)); }

int32_t device_count(int32_t* count) { return cudaGetDeviceCount(count); }

int32_t device_info(int32_t device, DeviceInfo* info) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) return error;
  std::memcpy(info->name, properties.name, sizeof info->name);
  info->memory = int64_t(properties.totalGlobalMem);
  info->multiprocessors = properties.multiProcessorCount;
  info->major = properties.major;
  info->minor = properties.minor;
  return cudaSuccess;
}

int32_t use_device(int32_t device) { return cudaSetDevice(device); }

int32_t stream_create(Stream* stream) {
  return cudaStreamCreate(reinterpret_cast<cudaStream_t*>(stream));
}
int32_t stream_destroy(Stream stream) { return cudaStreamDestroy(native(stream)); }
int32_t stream_wait(Stream stream) { return cudaStreamSynchronize(native(stream)); }

int32_t allocate(void** memory, int64_t bytes) { return cudaMalloc(memory, size_t(bytes)); }
int32_t release(void* memory) { return cudaFree(memory); }

int32_t upload(Stream stream, void* to, const void* from, int64_t bytes) {
  return cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyHostToDevice, native(stream));
}
int32_t download(Stream stream, void* to, const void* from, int64_t bytes) {
  return cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyDeviceToHost, native(stream));
}
int32_t copy(Stream stream, void* to, const void* from, int64_t bytes) {
  return cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyDeviceToDevice, native(stream));
}
int32_t zero(Stream stream, void* to, int64_t bytes) {
  return cudaMemsetAsync(to, 0, size_t(bytes), native(stream));
}

#define RR_TEXT2(x) #x
#define RR_TEXT(x) RR_TEXT2(x)
#if defined(__CUDACC__)
constexpr const char* kBuild =
    "CUDA " RR_TEXT(__CUDACC_VER_MAJOR__) "." RR_TEXT(__CUDACC_VER_MINOR__);
#else
constexpr const char* kBuild = "emulator";
#endif

Table make_table() {
  Table table{};
  table.abi = kAbi;
  table.build = kBuild;
  table.error_text = error_text;
  table.device_count = device_count;
  table.device_info = device_info;
  table.use_device = use_device;
  table.stream_create = stream_create;
  table.stream_destroy = stream_destroy;
  table.stream_wait = stream_wait;
  table.allocate = allocate;
  table.release = release;
  table.upload = upload;
  table.download = download;
  table.copy = copy;
  table.zero = zero;
  fill_rows(table);
  fill_rmsnorm(table);
  fill_rope(table);
  fill_swiglu(table);
  fill_embedding(table);
  fill_gemm(table);
  fill_attention(table);
  fill_attention_backward(table);
  fill_head_loss(table);
  fill_head_sample(table);
  fill_adamw(table);
  return table;
}

}  // namespace
}  // namespace reasonrec::cuda

extern "C" const reasonrec::cuda::Table* reasonrec_cuda_table(int32_t abi) {
  static const reasonrec::cuda::Table table = reasonrec::cuda::make_table();
  return abi == table.abi ? &table : nullptr;
}
