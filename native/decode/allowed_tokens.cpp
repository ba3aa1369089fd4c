// Builds the trie breadth first from the sorted sequences: all sequences of a node are one interval
// of the sorted order, and its children split that interval at the node's depth.
#include "decode/allowed_tokens.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/check.h"

namespace reasonrec {

Trie::Trie(const std::vector<std::vector<int32_t>>& sequences) {
  check(!sequences.empty(), "RR_TRIE_EMPTY", "a trie needs at least one sequence", ">= 1 sequence",
        "0");
  std::vector<int32_t> order(sequences.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return sequences[a] < sequences[b]; });
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& s = sequences[order[i]];
    const std::string index = std::to_string(order[i]);
    check(!s.empty(), "RR_TRIE_EMPTY", "a sequence of the trie has no token", ">= 1 token",
          "sequence " + index);
    depth_ = std::max(depth_, int64_t(s.size()));
    if (i == 0) continue;
    // Sorted order puts a prefix directly before some sequence that it begins.
    const auto& before = sequences[order[i - 1]];
    check(before != s, "RR_TRIE_DUPLICATE", "two sequences of the trie are equal",
          "distinct sequences", std::to_string(order[i - 1]) + " and " + index,
          "merge items with the same title first");
    const bool prefix =
        before.size() < s.size() && std::equal(before.begin(), before.end(), s.begin());
    check(!prefix, "RR_TRIE_NOT_PREFIX_FREE", "a sequence of the trie begins another one",
          "prefix-free sequences", std::to_string(order[i - 1]) + " begins " + index,
          "close every title with the same end tag");
  }

  struct Interval {
    int64_t first, last;  // of `order`
    int64_t depth;
    int32_t parent;
  };
  std::vector<Interval> nodes{{0, int64_t(order.size()), 0, -1}};
  node_of_.resize(order.size());
  place_.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) place_[order[i]] = int32_t(i);
  max_token_ = min_token_ = sequences[0][0];
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Interval node = nodes[n];
    begin_.push_back(int64_t(token_.size()));
    const bool ends = int64_t(sequences[order[node.first]].size()) == node.depth;
    leaf_.push_back(ends ? order[node.first] : -1);
    parent_.push_back(node.parent);
    leaves_.push_back(int32_t(node.last - node.first));
    if (ends) node_of_[order[node.first]] = int32_t(n);
    if (ends) continue;
    for (int64_t i = node.first; i < node.last;) {
      const int32_t token = sequences[order[i]][node.depth];
      int64_t j = i;
      while (j < node.last && sequences[order[j]][node.depth] == token) ++j;
      token_.push_back(token);
      child_.push_back(int32_t(nodes.size()));
      max_token_ = std::max(max_token_, token);
      min_token_ = std::min(min_token_, token);
      nodes.push_back({i, j, node.depth + 1, int32_t(n)});
      i = j;
    }
  }
  begin_.push_back(int64_t(token_.size()));
}

const int32_t* Trie::tokens(int32_t node, int64_t* count) const {
  *count = begin_[node + 1] - begin_[node];
  return token_.data() + begin_[node];
}

int32_t Trie::next(int32_t node, int32_t token) const {
  const auto first = token_.begin() + begin_[node], last = token_.begin() + begin_[node + 1];
  const auto at = std::lower_bound(first, last, token);
  return at == last || *at != token ? -1 : child_[at - token_.begin()];
}

int32_t Trie::leaf(int32_t node) const { return leaf_[node]; }

}  // namespace reasonrec
