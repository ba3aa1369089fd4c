// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
// counter-based generator. A number is a pure function of (seed, stream, index), so results depend
// neither on batch order nor on the thread count, and a resumed run continues exactly.
#pragma once
#include <array>
#include <cstdint>

#if defined(__CUDACC__)
#define RR_HOST_DEVICE __host__ __device__
#else
#define RR_HOST_DEVICE
#endif

namespace reasonrec {

// key = seed (two words), counter = {index lo, index hi, stream lo, stream hi}. Four uint32 into c.
RR_HOST_DEVICE inline void philox_words(uint32_t* c, uint64_t seed, uint64_t stream,
                                        uint64_t index) {
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  uint32_t c0 = uint32_t(index), c1 = uint32_t(index >> 32);
  uint32_t c2 = uint32_t(stream), c3 = uint32_t(stream >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
    c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    c1 = uint32_t(p1);
    c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c3 = uint32_t(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  c[0] = c0;
  c[1] = c1;
  c[2] = c2;
  c[3] = c3;
}

inline std::array<uint32_t, 4> philox4x32(uint64_t seed, uint64_t stream, uint64_t index) {
  std::array<uint32_t, 4> c;
  philox_words(c.data(), seed, stream, index);
  return c;
}

// Uniform in the open interval (0, 1), 53 bits.
RR_HOST_DEVICE inline double philox_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t r[4];
  philox_words(r, seed, stream, index);
  const uint64_t bits = (uint64_t(r[0]) << 21) ^ (uint64_t(r[1]) >> 11);
  return (double(bits & ((uint64_t(1) << 53) - 1)) + 0.5) * 0x1p-53;
}

}  // namespace reasonrec
