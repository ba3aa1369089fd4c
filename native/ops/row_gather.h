// Rows picked from a (T, H) array, with repetition, and the way back.
//   gather:      out[i] = x[rows[i]]
//   scatter-add: dx[rows[i]] += dout[i], ascending i, so that the sum's order is that of the rows
//   list
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace reasonrec {

inline void gather_rows(float* out, const float* x, const std::vector<int64_t>& rows, int64_t h) {
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(x + rows[i] * h, h, out + int64_t(i) * h);
}

inline void scatter_add_rows(float* dx, const float* dout, const std::vector<int64_t>& rows,
                             int64_t h) {
  for (size_t i = 0; i < rows.size(); ++i) {
    float* to = dx + rows[i] * h;
    const float* from = dout + int64_t(i) * h;
    for (int64_t j = 0; j < h; ++j) to[j] += from[j];
  }
}

}  // namespace reasonrec
