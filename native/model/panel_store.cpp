// See panel_store.h.
#include "model/panel_store.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace reasonrec {

int64_t PanelStore::values(int panel, int64_t k, int64_t n) {
  return (n + panel - 1) / panel * panel * k;
}

size_t PanelStore::add(int64_t k, int64_t n) {
  matrices_.push_back({k, n, 0});
  return matrices_.size() - 1;
}

void PanelStore::allocate(const Kernels& kernels, WeightType type) {
  panel_ = kernels.panel;
  half_ = type == WeightType::kBF16;
  int64_t total = 0;
  for (Matrix& m : matrices_) {
    m.begin = total;
    total += (values(panel_, m.k, m.n) + 31) / 32 * 32;  // each begins at a cache line
  }
  memory_ = Buffer();
  memory_.resize(half_ ? (total + 1) / 2 : total, false);
}

Panels PanelStore::at(size_t matrix) const {
  const Matrix& m = matrices_[matrix];
  const float* data = memory_.data();
  if (!data) return {};
  if (!half_) return {data + m.begin, m.k * panel_};
  return {nullptr, m.k * panel_, reinterpret_cast<const uint16_t*>(data) + m.begin};
}

void PanelStore::pack(const Context& context, size_t matrix, const float* b, int64_t k_stride,
                      int64_t n_stride, int64_t first, int64_t count) {
  const Matrix& m = matrices_[matrix];
  const int64_t at = m.begin + first / panel_ * panel_ * m.k;
  if (half_)
    context.kernels->pack_bf16(context, reinterpret_cast<uint16_t*>(memory_.data()) + at, b, m.k,
                               count, k_stride, n_stride);
  else
    context.kernels->pack(context, memory_.data() + at, b, m.k, count, k_stride, n_stride);
}

void PanelStore::pack(const Context& context, size_t matrix, const float* b, int64_t k_stride,
                      int64_t n_stride) {
  pack(context, matrix, b, k_stride, n_stride, 0, matrices_[matrix].n);
}

// Two values of a row and two of the row half a panel away make two words of the panel. Exponents
// of all ones carry into the sign's place when one is added.
bool PanelStore::pack_stored(size_t matrix, const char* rows, int64_t first, int64_t count) {
  const Matrix& m = matrices_[matrix];
  const int64_t half = panel_ / 2, row_bytes = m.k * 2;
  constexpr int64_t kBlock = 1024;  // long runs of a row: what limits this is reading memory
  uint16_t* panel =
      reinterpret_cast<uint16_t*>(memory_.data()) + m.begin + first / panel_ * panel_ * m.k;
  const auto word_at = [](const char* p) {
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
  };
  const auto last_at = [](const char* p) {
    uint16_t value;
    std::memcpy(&value, p, sizeof value);
    return uint32_t(value);
  };
  uint32_t bad = 0;
  const auto note = [&](uint32_t word) { bad |= (word & 0x7F807F80u) + 0x00800080u; };
  for (int64_t begin = 0; begin < count; begin += panel_, panel += panel_ * m.k)
    for (int64_t k0 = 0; k0 < m.k; k0 += kBlock)
      for (int64_t j = 0; j < half; ++j) {
        const bool has_low = begin + j < count, has_high = begin + j + half < count;
        const char* low = rows + (begin + j) * row_bytes;
        const char* high = low + half * row_bytes;
        const int64_t end = std::min(m.k, k0 + kBlock);
        uint16_t* to = panel + 2 * j;
        const auto put = [&](int64_t k, uint32_t word) {
          std::memcpy(to + k * panel_, &word, sizeof word);
        };
        int64_t k = k0;
        for (; k + 1 < end; k += 2) {
          const uint32_t a = has_low ? word_at(low + 2 * k) : 0;
          const uint32_t b = has_high ? word_at(high + 2 * k) : 0;
          note(a);
          note(b);
          put(k, (a & 0xFFFFu) | b << 16);
          put(k + 1, a >> 16 | (b & 0xFFFF0000u));
        }
        if (k < end) {
          const uint32_t word =
              (has_low ? last_at(low + 2 * k) : 0) | (has_high ? last_at(high + 2 * k) : 0) << 16;
          note(word);
          put(k, word);
        }
      }
  return (bad & 0x80008000u) == 0;
}

void PanelStore::unpack(const Context& context, size_t matrix, float* w) const {
  const Matrix& m = matrices_[matrix];
  const Panels panels = at(matrix);
  const int64_t half = panel_ / 2;
  for_each_task(context, (m.n + panel_ - 1) / panel_, [&](int64_t task, int) {
    const Panels panel = panels.shifted(task * panels.panel_stride);
    const int64_t columns = std::min<int64_t>(panel_, m.n - task * panel_);
    for (int64_t c = 0; c < columns; ++c) {
      float* row = w + (task * panel_ + c) * m.k;
      const int64_t place = c < half ? 2 * c : 2 * (c - half) + 1;
      for (int64_t i = 0; i < m.k; ++i)
        row[i] = panel.data ? panel.data[i * panel_ + c]
                            : std::bit_cast<float>(uint32_t(panel.bf16[i * panel_ + place]) << 16);
    }
  });
}

}  // namespace reasonrec
