// bf16: the upper half of a float.
#pragma once
#include <bit>
#include <cstdint>

namespace reasonrec {

inline constexpr float kLargestBfloat16 = 0x1.FEp127f;

inline float from_bfloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
// To the nearest, ties to even. Finite values only.
inline uint16_t to_bfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace reasonrec
