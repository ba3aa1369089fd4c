// See panel_store.h.
#include "model/panel_store.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace reasonrec {

int64_t PanelStore::values(int panel, int64_t k, int64_t n) {
  return (n + panel - 1) / panel * panel * k;
}

// Each matrix begins at a cache line.
static int64_t aligned_values(int panel, int64_t k, int64_t n) {
  return (PanelStore::values(panel, k, n) + 31) / 32 * 32;
}

size_t PanelStore::add(int64_t k, int64_t n) {
  matrices_.push_back({k, n, 0});
  return matrices_.size() - 1;
}

int64_t PanelStore::bytes(WeightType type) const {
  if (panel_ == 0) return 0;
  int64_t total = 0;
  for (const Matrix& m : matrices_) total += aligned_values(panel_, m.k, m.n);
  return type == WeightType::kBF16 ? (total + 1) / 2 * 4 : total * 4;
}

void PanelStore::allocate(const Kernels& kernels, WeightType type) {
  panel_ = kernels.panel;
  half_ = type == WeightType::kBF16;
  int64_t next = 0;
  for (Matrix& m : matrices_) {
    m.begin = next;
    m.rows = nullptr;
    next += aligned_values(panel_, m.k, m.n);
  }
  memory_ = Buffer();
  memory_.resize(bytes(type) / int64_t(sizeof(float)), false);
}

void PanelStore::borrow(const Kernels& kernels, size_t matrix, const uint16_t* rows) {
  panel_ = kernels.panel;
  matrices_[matrix].rows = rows;
}

Panels PanelStore::at(size_t matrix) const {
  const Matrix& m = matrices_[matrix];
  const int64_t stride = m.k * panel_;
  if (m.rows) return {nullptr, stride, nullptr, m.rows};
  const float* data = memory_.data();
  if (!data) return {};
  if (!half_) return {data + m.begin, stride};
  return {nullptr, stride, reinterpret_cast<const uint16_t*>(data) + m.begin};
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

void PanelStore::pack_rows(const Context& context, size_t matrix, const uint16_t* rows) {
  const Matrix& m = matrices_[matrix];
  context.kernels->pack_rows(context, reinterpret_cast<uint16_t*>(memory_.data()) + m.begin, rows,
                             m.k, m.n);
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
