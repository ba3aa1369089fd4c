// Stop strings over bytes: a match may begin in one token and end in another, and may end inside a
// token. The tokens stay as they were sampled; only the fact of the match matters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

// Bytes of every vocabulary entry, for stop strings: entry i is bytes[offsets[i], offsets[i + 1]).
struct VocabularyBytes {
  std::vector<int64_t> offsets;
  std::string bytes;
};

class StopMatcher {
 public:
  // Starts a step: the text before it does not count.
  void reset() { tail_.clear(); }
  // Adds a token's bytes; true once the text since reset() contains one of `stops`.
  bool append(const std::vector<std::string>& stops, const char* bytes, int64_t count);

 private:
  std::string tail_;  // the last bytes, as many as a longer match could still begin with
};

}  // namespace reasonrec
