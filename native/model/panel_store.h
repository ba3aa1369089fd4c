// The packed weight matrices of a model in one allocation, in fp32 or in bf16. The sizes are known
// before a byte is read, so that the memory of a model can be told beforehand.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "core/workspace.h"

namespace reasonrec {

// How weight matrices are held; products always accumulate in fp32. kAuto: bf16 where the files
// store every matrix so, which loses nothing, else fp32.
enum class WeightType { kAuto, kF32, kBF16 };

class PanelStore {
 public:
  // Announces a matrix B (k, n); all of them before allocate(). Returns its number.
  size_t add(int64_t k, int64_t n);
  // Memory for all; contents undefined until packed. type: kF32 or kBF16; compute: of the products
  // with them, kBF16 only with bf16.
  void allocate(const Kernels&, WeightType type, Compute compute = Compute::kF32);
  bool allocated() const { return memory_.size() > 0; }
  // Instead of memory: a matrix is read where it lies, bf16 rows (n, k), until allocate().
  void borrow(const Kernels&, size_t matrix, const uint16_t* rows, Compute = Compute::kF32);
  const uint16_t* borrowed(size_t matrix) const { return matrices_[matrix].rows; }
  Panels at(size_t matrix) const;
  int64_t bytes(WeightType type) const;  // that allocate() takes, 0 before it and borrow()
  // Of one matrix, padding included.
  static int64_t values(WeightType, int panel, int64_t k, int64_t n);

  // B[i][j] = b[i * k_stride + j * n_stride] for columns [first, first + count), first a multiple
  // of the panel's width.
  void pack(const Context&, size_t matrix, const float* b, int64_t k_stride, int64_t n_stride,
            int64_t first, int64_t count);
  // All columns.
  void pack(const Context&, size_t matrix, const float* b, int64_t k_stride, int64_t n_stride);
  // All columns from bf16 rows (n, k); bf16 stores only.
  void pack_rows(const Context&, size_t matrix, const uint16_t* rows);
  // w (n, k) row-major: column j of B is row j of w.
  void unpack(const Context&, size_t matrix, float* w) const;

 private:
  bool half() const { return type_ == WeightType::kBF16; }
  struct Matrix {
    int64_t k, n, begin;  // begin in values
    const uint16_t* rows = nullptr;
  };
  std::vector<Matrix> matrices_;
  Buffer memory_;
  int panel_ = 0;
  WeightType type_ = WeightType::kF32;
  Compute compute_ = Compute::kF32;
};

// fn(task, worker) for every task, on the context's pool or on the caller.
template <class F>
void for_each_task(const Context& context, int64_t tasks, F&& fn) {
  if (context.pool && tasks > 1) return context.pool->parallel_for(tasks, fn);
  for (int64_t i = 0; i < tasks; ++i) fn(i, 0);
}

}  // namespace reasonrec
