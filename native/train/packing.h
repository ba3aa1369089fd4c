// How a step's sequences are cut into micro-batches: consecutive runs within a budget of rows. The
// order is never changed, because a gradient is a sum over rows in that order: cut anywhere between
// sequences, it has the same bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reasonrec {

struct Run {
  std::size_t first = 0, last = 0;  // [first, last)
};

// rows[i] of item i. An item above the budget goes alone; items without rows ride along.
std::vector<Run> pack_in_order(const std::vector<int64_t>& rows, int64_t budget);

}  // namespace reasonrec
