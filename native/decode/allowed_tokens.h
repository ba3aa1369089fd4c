// A trie over token sequences (candidate titles, each closed by its end tag, hence prefix-free):
// at a node only the node's children may follow. Nodes and edges in CSR form.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"

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
  // Where tokens(node)[i] leads.
  int32_t child(int32_t node, int64_t i) const { return child_[begin_[node] + i]; }
  int32_t parent(int32_t node) const { return parent_[node]; }  // -1 for the root
  int32_t leaves(int32_t node) const { return leaves_[node]; }  // sequences that pass `node`
  int32_t node_of(int32_t sequence) const { return node_of_[sequence]; }
  int32_t place(int32_t sequence) const { return place_[sequence]; }  // in order of token ids
  int64_t size() const { return int64_t(place_.size()); }             // sequences
  int64_t depth() const { return depth_; }  // tokens of the longest sequence
  int32_t max_token() const { return max_token_; }
  int32_t min_token() const { return min_token_; }

 private:
  std::vector<int64_t> begin_;
  std::vector<int32_t> token_, child_, leaf_, parent_, leaves_, node_of_, place_;
  int64_t depth_ = 0;
  int32_t max_token_ = 0, min_token_ = 0;
};

// The AllowedTokens of a batch of head rows, row by row: a trie node's tokens, or the whole
// vocabulary.
class AllowedRows {
 public:
  void add(const int32_t* ids, int64_t count) {
    ids_.insert(ids_.end(), ids, ids + count);
    begin_.push_back(int64_t(ids_.size()));
  }
  void add_all() { begin_.push_back(int64_t(ids_.size())); }
  AllowedTokens view() const {
    if (ids_.empty()) return {};
    return {begin_.data(), ids_.data()};
  }

 private:
  std::vector<int64_t> begin_{0};
  std::vector<int32_t> ids_;
};

}  // namespace reasonrec
