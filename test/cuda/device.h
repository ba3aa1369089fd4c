// What the kernels' cases share. They are written against the C table alone, so the same cases run
// under the emulator (under three orders of threads) and on a GPU.
//
// Tolerances: fp32 kernels are held to what the CPU kernels are held to. bf16 kernels get inputs
// that are bf16 values already, so their result differs from fp64 by the rounding of what they
// store, half of 2^-8 relative, and by the fp32 error inside; they may have three times the former.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/table.h"
#include "harness.h"

namespace reasonrec::test {

using cuda::DataType;
using cuda::kBF16;
using cuda::kF32;

constexpr double kBf16Rounding = 0x1p-9;

const cuda::Table& device_table();
// Runs body under every order of threads there is: seeds of the emulator, or once on a GPU.
void under_every_order(void (*body)(uint64_t seed));
void use_order(uint64_t seed);  // one order, where three would take too long
// A call's return value: throws with the table's text where it is not 0.
void call(int32_t error);

// An array on the device. Starts as NaN bytes; freed with it.
class DeviceBytes {
 public:
  explicit DeviceBytes(int64_t bytes, const void* host = nullptr);
  DeviceBytes(DeviceBytes&&) noexcept;
  DeviceBytes(const DeviceBytes&) = delete;
  ~DeviceBytes();
  void* data() const { return memory_; }
  void download(void* host) const;
  int64_t bytes() const { return bytes_; }

 private:
  void* memory_ = nullptr;
  int64_t bytes_ = 0;
};

template <class T>
class DeviceArray : public DeviceBytes {
 public:
  explicit DeviceArray(int64_t n) : DeviceBytes(n * int64_t(sizeof(T))) {}
  explicit DeviceArray(const std::vector<T>& host)
      : DeviceBytes(int64_t(host.size() * sizeof(T)), host.data()) {}
  T* data() const { return static_cast<T*>(DeviceBytes::data()); }
  std::vector<T> host() const {
    std::vector<T> out(size_t(bytes()) / sizeof(T));
    DeviceBytes::download(out.data());
    return out;
  }
};

// Values of one storage type; host() widens.
class DeviceValues : public DeviceBytes {
 public:
  DeviceValues(DataType, int64_t n);
  DeviceValues(DataType, const std::vector<float>& host);
  std::vector<float> host() const;
  DataType type() const { return type_; }

 private:
  DataType type_;
};

// Values that `type` holds exactly: unit normals, rounded for bf16.
std::vector<float> representable(std::vector<float> x, DataType type);

// |got - want| within the fp32 tolerance, plus what storing in `type` may cost.
void expect_near(const std::vector<float>& got, const std::vector<double>& want, DataType type,
                 double absolute, double relative, const std::string& what);

inline const char* name_of(DataType type) { return type == kBF16 ? "bf16" : "fp32"; }
inline constexpr DataType kTypes[] = {kF32, kBF16};

}  // namespace reasonrec::test
