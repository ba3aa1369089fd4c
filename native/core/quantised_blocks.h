// The block formats of GGUF files, widened to fp32. A block holds 32 or 256 neighbours of a row:
//
//   value[i] = scale[i / step] * q[i] - offset[i / step]
//
// with small whole numbers q and one or more fp32 scales. The bits, from the public description of
// the formats (all little endian; "half" is IEEE binary16):
//   Q8_0   half d; 32 signed bytes                      d q
//   Q4_0   half d; 16 bytes, low nibbles then high      d (q - 8)
//   Q4_1   half d, m; the same nibbles                  d q + m
//   Q5_0   half d; 32 fifth bits; the same nibbles      d (q - 16)
//   Q5_1   half d, m; 32 fifth bits; nibbles            d q + m
//   Q2_K   16 bytes scale (low nibble) and offset (high); 64 bytes of 2 bits; half d, dmin
//   Q3_K   32 bytes of third bits; 64 bytes of 2 bits; 12 bytes of sixteen 6-bit scales; half d
//   Q4_K   half d, dmin; 12 bytes of eight 6-bit scales and offsets; 128 bytes of nibbles
//   Q5_K   as Q4_K with 32 bytes of fifth bits before the nibbles
//   Q6_K   128 bytes low nibbles; 64 bytes of upper 2 bits; 16 signed scales; half d
// Products are rounded as written above: d times the whole-number scale first.
#pragma once
#include <cstdint>

#include "core/tensor_view.h"

namespace reasonrec {

// out (blocks * facts(dtype).elements). dtype: one of the block formats.
void dequantise_blocks(float* out, DType dtype, const char* bytes, int64_t blocks);

}  // namespace reasonrec
