// A tensor where it lies in a mapped file: type, shape, bytes. Floats, whole numbers, and the block
// formats of GGUF files (quantised_blocks.h), all read row by row into fp32.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reasonrec {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI64,
  kI32,
  kU8,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
};
inline constexpr int kDTypes = int(DType::kQ6_K) + 1;

struct DTypeFacts {
  const char* name;  // "BF16", "Q4_K"
  int64_t elements;  // per block, along a row; 1 where every element stands for itself
  int64_t bytes;     // per block
};
const DTypeFacts& facts(DType);

struct TensorView {
  DType dtype;
  std::vector<int64_t> shape;  // slowest first; rows are along the last extent
  const void* data = nullptr;
  int64_t elements() const;
  size_t bytes() const;
  int64_t row_length() const { return shape.empty() ? 1 : shape.back(); }
  // Rows [first, first + count) into out (count, row_length()). Throws RR_BAD_DTYPE for whole
  // numbers.
  void rows_to_float(float* out, int64_t first, int64_t count) const;
  void to_float(float* out) const;  // all of it
};

float half_to_float(uint16_t bits);  // IEEE binary16, exact

}  // namespace reasonrec
