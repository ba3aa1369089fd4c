// See panel_store.h.
#include "model/panel_store.h"

#include <algorithm>
#include <cstring>

#include "core/bfloat16.h"

namespace reasonrec {

int64_t PanelStore::values(WeightType type, int panel, int64_t k, int64_t n) {
  const int64_t rows = type == WeightType::kBF16 ? k + k % 2 : k;
  return (n + panel - 1) / panel * panel * rows;
}

// Each matrix begins at a cache line.
static int64_t aligned_values(WeightType type, int panel, int64_t k, int64_t n) {
  return (PanelStore::values(type, panel, k, n) + 31) / 32 * 32;
}

size_t PanelStore::add(int64_t k, int64_t n) {
  matrices_.push_back({k, n, 0});
  return matrices_.size() - 1;
}

int64_t PanelStore::bytes(WeightType type) const {
  if (panel_ == 0) return 0;
  int64_t total = 0;
  for (const Matrix& m : matrices_) total += aligned_values(type, panel_, m.k, m.n);
  return type == WeightType::kBF16 ? (total + 1) / 2 * 4 : total * 4;
}

void PanelStore::allocate(const Kernels& kernels, WeightType type, Compute compute) {
  panel_ = kernels.panel;
  type_ = type;
  compute_ = compute;
  int64_t next = 0;
  for (Matrix& m : matrices_) {
    m.begin = next;
    m.rows = nullptr;
    next += aligned_values(type, panel_, m.k, m.n);
  }
  memory_ = Buffer();
  memory_.resize(bytes(type) / int64_t(sizeof(float)), false);
}

void PanelStore::borrow(const Kernels& kernels, size_t matrix, const uint16_t* rows,
                        Compute compute) {
  panel_ = kernels.panel;
  compute_ = compute;
  matrices_[matrix].rows = rows;
}

Panels PanelStore::at(size_t matrix) const {
  const Matrix& m = matrices_[matrix];
  if (m.rows) return {nullptr, m.k * panel_, nullptr, m.rows, 0, compute_};
  const float* data = memory_.data();
  if (!data) return {};
  const int64_t stride = values(type_, panel_, m.k, 1);
  if (!half()) return {data + m.begin, stride};
  Panels panels{nullptr, stride, reinterpret_cast<const uint16_t*>(data) + m.begin};
  panels.compute = compute_;
  return panels;
}

void PanelStore::pack(const Context& context, size_t matrix, const float* b, int64_t k_stride,
                      int64_t n_stride, int64_t first, int64_t count) {
  const Matrix& m = matrices_[matrix];
  const int64_t at = m.begin + values(type_, panel_, m.k, first);
  if (half())
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
  for_each_task(context, (m.n + panel_ - 1) / panel_, [&](int64_t task, int) {
    const Panels panel = panels.shifted(task * panels.panel_stride);
    const int64_t columns = std::min<int64_t>(panel_, m.n - task * panel_);
    for (int64_t c = 0; c < columns; ++c) {
      float* row = w + (task * panel_ + c) * m.k;
      for (int64_t i = 0; i < m.k; ++i)
        row[i] = panel.data ? panel.data[i * panel_ + c]
                            : from_bfloat16(panel.bf16[i / 2 * 2 * panel_ + 2 * c + i % 2]);
    }
  });
}

}  // namespace reasonrec
