#include "train/packing.h"

namespace reasonrec {

std::vector<Run> pack_in_order(const std::vector<int64_t>& rows, int64_t budget) {
  std::vector<Run> runs;
  int64_t used = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (runs.empty() || (used > 0 && used + rows[i] > budget)) {
      runs.push_back({i, i});
      used = 0;
    }
    runs.back().last = i + 1;
    used += rows[i];
  }
  return runs;
}

}  // namespace reasonrec
