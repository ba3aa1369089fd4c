// See tensor_view.h.
#include "core/tensor_view.h"

#include <string.h>

#include <bit>

#include "core/check.h"
#include "core/quantised_blocks.h"

namespace reasonrec {
namespace {

// In the order of DType.
constexpr DTypeFacts kFacts[kDTypes] = {{"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},
                                        {"F64", 1, 8},      {"I64", 1, 8},      {"I32", 1, 4},
                                        {"U8", 1, 1},       {"Q4_0", 32, 18},   {"Q4_1", 32, 20},
                                        {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q8_0", 32, 34},
                                        {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},
                                        {"Q5_K", 256, 176}, {"Q6_K", 256, 210}};

// Tensors may lie at any byte of the file, so elements are copied out before they are looked at.
template <class Stored, class Convert>
void convert(float* out, const char* bytes, int64_t n, Convert to_float) {
  for (int64_t i = 0; i < n; ++i) {
    Stored value;
    memcpy(&value, bytes + size_t(i) * sizeof value, sizeof value);
    out[i] = to_float(value);
  }
}

}  // namespace

const DTypeFacts& facts(DType dtype) { return kFacts[int(dtype)]; }

// The exponent is moved by a product with 2^112, which also makes binary16's subnormals right.
float half_to_float(uint16_t bits) {
  const uint32_t magnitude = uint32_t(bits & 0x7FFF) << 13;
  uint32_t out = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  if ((bits & 0x7C00) == 0x7C00) out = 0x7F800000u | magnitude;
  return std::bit_cast<float>(out | uint32_t(bits & 0x8000) << 16);
}

int64_t TensorView::elements() const {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

size_t TensorView::bytes() const {
  return size_t(elements() / facts(dtype).elements * facts(dtype).bytes);
}

void TensorView::to_float(float* out) const {
  const int64_t row = row_length();
  if (row > 0) rows_to_float(out, 0, elements() / row);
}

void TensorView::rows_to_float(float* out, int64_t first, int64_t count) const {
  const DTypeFacts& f = facts(dtype);
  const int64_t row_bytes = row_length() / f.elements * f.bytes, n = count * row_length();
  const char* bytes = static_cast<const char*>(data) + first * row_bytes;
  switch (dtype) {
    case DType::kF32:
      memcpy(out, bytes, size_t(n) * sizeof(float));
      return;
    case DType::kF16:
      return convert<uint16_t>(out, bytes, n, half_to_float);
    case DType::kBF16:
      return convert<uint16_t>(out, bytes, n,
                               [](uint16_t v) { return std::bit_cast<float>(uint32_t(v) << 16); });
    case DType::kF64:
      return convert<double>(out, bytes, n, [](double v) { return float(v); });
    case DType::kI64:
    case DType::kI32:
    case DType::kU8:
      throw Error("RR_BAD_DTYPE", "a tensor of whole numbers was read as weights",
                  "F32, F16, BF16 or F64", f.name, "store the weights in a floating-point format");
    default:
      dequantise_blocks(out, dtype, bytes, n / f.elements);
  }
}

}  // namespace reasonrec
