// A trie over token sequences (candidate titles, each closed by its end tag, hence prefix-free):
// at a node only the node's children may follow. Nodes and edges in CSR form.
#pragma once
#include <cstdint>
#include <vector>

namespace reasonrec {

class Trie {
 public:
  // sequences[i] ends in leaf i. Throws RR_TRIE_EMPTY, RR_TRIE_NOT_PREFIX_FREE, RR_TRIE_DUPLICATE.
  explicit Trie(const std::vector<std::vector<int32_t>>& sequences);
  static constexpr int32_t kRoot = 0;
  // Ascending ids of the tokens that may follow `node`.
  const int32_t* tokens(int32_t node, int64_t* count) const;
  int32_t next(int32_t node, int32_t token) const;  // child node, -1 if the token is not allowed
  int32_t leaf(int32_t node) const;                 // sequence index, -1 for an inner node

 private:
  std::vector<int64_t> begin_;
  std::vector<int32_t> token_, child_, leaf_;
};

}  // namespace reasonrec
