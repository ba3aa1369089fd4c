// See quantised_blocks.h. Each format is a function that takes a block apart into whole numbers,
// scales and offsets; widening them is the same for all.
#include "core/quantised_blocks.h"

#include <string.h>

#include "core/check.h"

namespace reasonrec {
namespace {

struct Block {
  int8_t q[256];
  float scale[16];   // of each run of `step` values
  float offset[16];  // subtracted
};
using Bytes = const uint8_t*;

float half_at(Bytes p) { return half_to_float(uint16_t(p[0] | p[1] << 8)); }

// ---- blocks of 32: one scale, one offset
// ----------------------------------------------------------

void nibbles(Block& b, Bytes p, int minus) {
  for (int i = 0; i < 16; ++i) {
    b.q[i] = int8_t((p[i] & 15) - minus);
    b.q[i + 16] = int8_t((p[i] >> 4) - minus);
  }
}

void fifth_bits(Block& b, Bytes p) {
  for (int i = 0; i < 32; ++i) b.q[i] = int8_t(b.q[i] + (p[i / 8] >> (i % 8) & 1) * 16);
}

void q8_0(Block& b, Bytes p) {
  b.scale[0] = half_at(p);
  memcpy(b.q, p + 2, 32);
}
void q4_0(Block& b, Bytes p) {
  b.scale[0] = half_at(p);
  nibbles(b, p + 2, 8);
}
void q4_1(Block& b, Bytes p) {
  b.scale[0] = half_at(p);
  b.offset[0] = -half_at(p + 2);
  nibbles(b, p + 4, 0);
}
void q5_0(Block& b, Bytes p) {
  b.scale[0] = half_at(p);
  nibbles(b, p + 6, 16);
  fifth_bits(b, p + 2);
}
void q5_1(Block& b, Bytes p) {
  b.scale[0] = half_at(p);
  b.offset[0] = -half_at(p + 2);
  nibbles(b, p + 8, 0);
  fifth_bits(b, p + 4);
}

// ---- blocks of 256
// --------------------------------------------------------------------------------

// 2-bit numbers: each run of 32 bytes holds four runs of 32 values, lowest bits first.
void two_bits(Block& b, Bytes p) {
  for (int i = 0; i < 256; ++i) b.q[i] = int8_t(p[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3);
}

// Nibbles: each run of 32 bytes holds 32 values in the low halves, then 32 in the high ones.
void long_nibbles(Block& b, Bytes p) {
  for (int i = 0; i < 256; ++i) b.q[i] = int8_t(p[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15);
}

// Eight scales and eight offsets of 6 bits in 12 bytes: the first four of each whole in the low
// bits of bytes 0-3 and 4-7; the last four as nibbles of bytes 8-11, their upper two bits in the
// upper two bits of bytes 0-3 and 4-7.
void six_bit_pairs(Block& b, Bytes p, float d, float dmin) {
  for (int i = 0; i < 8; ++i) {
    const int j = i % 4;
    const int scale = i < 4 ? p[j] & 63 : (p[8 + j] & 15) | p[j] >> 6 << 4;
    const int offset = i < 4 ? p[4 + j] & 63 : p[8 + j] >> 4 | p[4 + j] >> 6 << 4;
    b.scale[i] = d * float(scale);
    b.offset[i] = dmin * float(offset);
  }
}

void q2_k(Block& b, Bytes p) {
  const float d = half_at(p + 80), dmin = half_at(p + 82);
  for (int i = 0; i < 16; ++i) {
    b.scale[i] = d * float(p[i] & 15);
    b.offset[i] = dmin * float(p[i] >> 4);
  }
  two_bits(b, p + 16);
}

void q3_k(Block& b, Bytes p) {
  const float d = half_at(p + 108);
  Bytes scales = p + 96;
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
    const int high = scales[8 + i % 4] >> (i / 4 * 2) & 3;
    b.scale[i] = d * float((low | high << 4) - 32);
  }
  two_bits(b, p + 32);
  for (int i = 0; i < 256; ++i)
    if (!(p[i % 32] >> (i / 32) & 1)) b.q[i] = int8_t(b.q[i] - 4);
}

void q4_k(Block& b, Bytes p) {
  six_bit_pairs(b, p + 4, half_at(p), half_at(p + 2));
  long_nibbles(b, p + 16);
}

void q5_k(Block& b, Bytes p) {
  six_bit_pairs(b, p + 4, half_at(p), half_at(p + 2));
  long_nibbles(b, p + 48);
  for (int i = 0; i < 256; ++i) b.q[i] = int8_t(b.q[i] + (p[16 + i % 32] >> (i / 32) & 1) * 16);
}

void q6_k(Block& b, Bytes p) {
  const float d = half_at(p + 208);
  for (int i = 0; i < 16; ++i) b.scale[i] = d * float(int8_t(p[192 + i]));
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, run = i % 128 / 32, l = i % 32;
    const int low = p[half * 64 + run % 2 * 32 + l] >> (run / 2 * 4) & 15;
    const int high = p[128 + half * 32 + l] >> (run * 2) & 3;
    b.q[i] = int8_t((low | high << 4) - 32);
  }
}

struct Format {
  DType dtype;
  void (*unpack)(Block&, Bytes);
  int step;     // values per scale
  bool offset;  // has offsets
};
constexpr Format kFormats[] = {
    {DType::kQ4_0, q4_0, 32, false}, {DType::kQ4_1, q4_1, 32, true},
    {DType::kQ5_0, q5_0, 32, false}, {DType::kQ5_1, q5_1, 32, true},
    {DType::kQ8_0, q8_0, 32, false}, {DType::kQ2_K, q2_k, 16, true},
    {DType::kQ3_K, q3_k, 16, false}, {DType::kQ4_K, q4_k, 32, true},
    {DType::kQ5_K, q5_k, 32, true},  {DType::kQ6_K, q6_k, 16, false},
};

}  // namespace

void dequantise_blocks(float* out, DType dtype, const char* bytes, int64_t blocks) {
  const Format* format = nullptr;
  for (const Format& f : kFormats)
    if (f.dtype == dtype) format = &f;
  check(format, "RR_BAD_DTYPE", "a tensor was read as quantised blocks", "a block format",
        facts(dtype).name);
  const int64_t n = facts(dtype).elements, size = facts(dtype).bytes;
  const int step = format->step;
  Block block{};
  for (int64_t at = 0; at < blocks; ++at, bytes += size, out += n) {
    format->unpack(block, reinterpret_cast<Bytes>(bytes));
    for (int64_t run = 0; run * step < n; ++run) {
      const float scale = block.scale[run], offset = block.offset[run];
      const int8_t* q = block.q + run * step;
      float* to = out + run * step;
      if (format->offset)
        for (int i = 0; i < step; ++i) to[i] = scale * float(q[i]) - offset;
      else
        for (int i = 0; i < step; ++i) to[i] = scale * float(q[i]);
    }
  }
}

}  // namespace reasonrec
