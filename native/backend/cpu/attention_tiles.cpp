// See attention_tiles.h.
#include "backend/cpu/attention_tiles.h"

#include <algorithm>
#include <string>

#include "core/check.h"

namespace reasonrec::cpu {

AttentionPlan::AttentionPlan() = default;
AttentionPlan::AttentionPlan(AttentionPlan&&) noexcept = default;
AttentionPlan::~AttentionPlan() = default;
AttentionTrees::AttentionTrees() = default;
AttentionTrees::AttentionTrees(AttentionTrees&&) noexcept = default;
AttentionTrees::~AttentionTrees() = default;

namespace {

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

void check_segment(const Segment* segments, const KvBlock* blocks, int64_t i) {
  const Segment& s = segments[i];
  check(s.parent >= -1 && s.parent < i, "RR_BAD_SEGMENTS", "a segment's parent must come before it",
        "-1 or below " + std::to_string(i), std::to_string(s.parent));
  check(s.rows >= 0 && s.past >= 0 && s.row_begin >= 0, "RR_BAD_SEGMENTS",
        "a segment's counts must not be negative");
  check(!blocks || s.past + s.rows <= blocks[i].capacity, "RR_BAD_SEGMENTS",
        "a segment does not fit its key block",
        blocks ? "at most " + std::to_string(blocks[i].capacity) : "",
        std::to_string(s.past + s.rows));
}

// Appends the ancestors, root first; returns their keys in whole panels.
int64_t append_chain(AttentionPlan& plan, const Segment* segments, int32_t parent, int panel) {
  const size_t begin = plan.chain_list.size();
  for (int32_t a = parent; a >= 0; a = segments[a].parent) plan.chain_list.push_back({a, 0, 0});
  std::reverse(plan.chain_list.begin() + int64_t(begin), plan.chain_list.end());
  int64_t offset = 0;
  for (size_t c = begin; c < plan.chain_list.size(); ++c) {
    AttentionAncestor& ancestor = plan.chain_list[c];
    ancestor.offset = offset;
    ancestor.keys = segments[ancestor.segment].past + segments[ancestor.segment].rows;
    offset += round_up(ancestor.keys, panel);
  }
  return offset;
}

void fill(AttentionPlan& plan, const Segment* segments, const KvBlock* blocks, int64_t count,
          int panel, int64_t consecutive, int64_t together) {
  plan.row_list.clear();
  plan.tile_list.clear();
  plan.chain_list.clear();
  plan.most_rows = plan.most_keys = 0;
  for (int64_t i = 0; i < count; ++i) {
    check_segment(segments, blocks, i);
    const Segment& s = segments[i];
    if (s.rows == 0) continue;
    AttentionTile* last = plan.tile_list.empty() ? nullptr : &plan.tile_list.back();
    const bool joins = last && s.parent >= 0 &&
                       segments[plan.row_list.back().segment].parent == s.parent &&
                       last->rows + s.rows <= together && s.rows < consecutive;
    if (joins) {
      plan.row_list.push_back({int32_t(i), 0, s.rows});
      last->rows_end += 1;
      last->rows += s.rows;
      last->own_keys = std::max(last->own_keys, round_up(s.past + s.rows, panel));
      continue;
    }
    const int64_t chain_begin = int64_t(plan.chain_list.size());
    const int64_t ancestor_keys = append_chain(plan, segments, s.parent, panel);
    for (int64_t first = 0; first < s.rows; first += consecutive) {
      const int64_t rows = std::min(consecutive, s.rows - first);
      const int64_t at = int64_t(plan.row_list.size());
      plan.row_list.push_back({int32_t(i), first, rows});
      plan.tile_list.push_back({at, at + 1, rows, chain_begin, int64_t(plan.chain_list.size()),
                                ancestor_keys, round_up(s.past + first + rows, panel)});
    }
  }
  for (const AttentionTile& tile : plan.tile_list) {
    plan.most_rows = std::max(plan.most_rows, tile.rows);
    plan.most_keys = std::max(plan.most_keys, tile.ancestor_keys + tile.own_keys);
  }
  plan.rows = plan.row_list.data();
  plan.tiles = plan.tile_list.data();
  plan.chain = plan.chain_list.data();
  plan.tile_count = int64_t(plan.tile_list.size());
}

}  // namespace

AttentionPlan plan_attention(const Segment* segments, const KvBlock* blocks, int64_t count,
                             int panel, int64_t consecutive, int64_t together) {
  AttentionPlan plan;
  fill(plan, segments, blocks, count, panel, consecutive, together);
  return plan;
}

const AttentionPlan& plan_attention_again(const Segment* segments, const KvBlock* blocks,
                                          int64_t count, int panel, int64_t consecutive,
                                          int64_t together) {
  static thread_local AttentionPlan plan;
  fill(plan, segments, blocks, count, panel, consecutive, together);
  return plan;
}

const AttentionTrees& attention_trees(const Segment* segments, int64_t count, int panel) {
  static thread_local AttentionTrees trees;
  trees.begin_list.clear();
  trees.most_padded_keys = trees.most_padded_segment = 0;
  std::vector<int64_t>&root = trees.root_list, &last = trees.last_list;
  root.resize(size_t(count));
  last.resize(size_t(count));
  for (int64_t i = 0; i < count; ++i) {
    check_segment(segments, nullptr, i);
    check(segments[i].past == 0, "RR_BAD_SEGMENTS",
          "attention backward needs segments without earlier keys", "past 0",
          std::to_string(segments[i].past));
    root[size_t(i)] = segments[i].parent < 0 ? i : root[size_t(segments[i].parent)];
    last[size_t(root[size_t(i)])] = i;
  }
  int64_t open_until = -1, padded = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (i > open_until) {
      trees.begin_list.push_back(i);
      padded = 0;
    }
    open_until = std::max(open_until, last[size_t(root[size_t(i)])]);
    padded += round_up(segments[i].rows, panel);
    trees.most_padded_segment =
        std::max(trees.most_padded_segment, round_up(segments[i].rows, panel));
    trees.most_padded_keys = std::max(trees.most_padded_keys, padded);
  }
  trees.count = int64_t(trees.begin_list.size());
  trees.begin_list.push_back(count);
  trees.begin = trees.begin_list.data();
  return trees;
}

}  // namespace reasonrec::cpu
