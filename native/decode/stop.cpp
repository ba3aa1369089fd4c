// Keeps the last (longest stop - 1) bytes: whatever begins before them would have matched already.
#include "decode/stop.h"

#include <algorithm>

namespace reasonrec {

bool StopMatcher::append(const std::vector<std::string>& stops, const char* bytes, int64_t count) {
  tail_.append(bytes, size_t(count));
  size_t longest = 0;
  for (const std::string& stop : stops) {
    if (tail_.find(stop) != std::string::npos) return true;
    longest = std::max(longest, stop.size());
  }
  const size_t keep = longest == 0 ? 0 : longest - 1;
  if (tail_.size() > keep) tail_.erase(0, tail_.size() - keep);
  return false;
}

}  // namespace reasonrec
