// See attention_plan.h. Which rows go together is the CPU's rule (attention_tiles.h): consecutive
// rows of one segment, or short siblings that see the same ancestors.
#include "backend/cuda/attention_plan.h"

#include <algorithm>

#include "backend/cpu/attention_tiles.h"
#include "core/check.h"

namespace reasonrec::cuda {
namespace {

void append(std::vector<int32_t>& words, std::initializer_list<int64_t> values) {
  for (const int64_t v : values) {
    check(v >= 0 && v <= INT32_MAX, "RR_BAD_SEGMENTS",
          "a batch's rows and keys are numbered in int32", "0 to 2147483647", std::to_string(v));
    words.push_back(int32_t(v));
  }
}

bool descends(const Segment* segments, int64_t s, int64_t from) {
  for (int64_t a = segments[s].parent; a >= from; a = segments[a].parent)
    if (a == from) return true;
  return false;
}

// Tiles of keys with the ranges of rows that see them: the segment's own, then its descendants' in
// the order of the batch.
void append_key_tiles(HostAttentionPlan& plan, const Segment* segments, int64_t count) {
  std::vector<int32_t> tiles, readers;
  for (int64_t s = 0; s < count; ++s) {
    if (segments[s].rows == 0) continue;
    const int64_t begin = int64_t(readers.size()) / 3;
    append(readers, {segments[s].row_begin, segments[s].rows, 1});
    for (int64_t c = s + 1; c < count; ++c)
      if (segments[c].rows > 0 && descends(segments, c, s))
        append(readers, {segments[c].row_begin, segments[c].rows, 0});
    for (int64_t first = 0; first < segments[s].rows; first += kKeyTile)
      append(tiles,
             {segments[s].row_begin + first, std::min<int64_t>(kKeyTile, segments[s].rows - first),
              first, begin, int64_t(readers.size()) / 3});
  }
  plan.key_tiles = int32_t(tiles.size() / 5);
  plan.key_tiles_at = int32_t(plan.words.size());
  plan.words.insert(plan.words.end(), tiles.begin(), tiles.end());
  plan.readers_at = int32_t(plan.words.size());
  plan.words.insert(plan.words.end(), readers.begin(), readers.end());
}

}  // namespace

HostAttentionPlan make_attention_plan(const Segment* segments, const int32_t* first_slots,
                                      int64_t count, const AttentionShape& shape) {
  const int64_t group = shape.heads / shape.kv_heads;
  check(group >= 1 && group <= kTileRows, "RR_BAD_SEGMENTS", "query heads per key head",
        "1 to " + std::to_string(kTileRows), std::to_string(group));
  const auto slot = [&](int64_t s) {
    return first_slots ? int64_t(first_slots[s]) : segments[s].row_begin;
  };
  const int64_t together = kTileRows / group;
  const cpu::AttentionPlan tiles =
      cpu::plan_attention(segments, nullptr, count, 1, together, together);
  std::vector<int32_t> rows, chain;
  HostAttentionPlan plan;
  for (const cpu::AttentionTile& tile : tiles.tile_list)
    append(plan.words, {tile.rows_begin, tile.rows_end, tile.chain_begin, tile.chain_end});
  for (const cpu::AttentionRows& r : tiles.row_list) {
    const Segment& s = segments[r.segment];
    append(rows, {s.row_begin + r.first, r.rows, slot(r.segment), s.past + r.first + 1});
  }
  for (const cpu::AttentionAncestor& a : tiles.chain_list) append(chain, {slot(a.segment), a.keys});
  plan.tiles = int32_t(tiles.tile_count);
  plan.rows_at = int32_t(plan.words.size());
  plan.words.insert(plan.words.end(), rows.begin(), rows.end());
  plan.chain_at = int32_t(plan.words.size());
  plan.words.insert(plan.words.end(), chain.begin(), chain.end());
  if (first_slots) return plan;
  for (int64_t s = 0; s < count; ++s)
    check(segments[s].past == 0, "RR_BAD_SEGMENTS", "keys that a training segment already holds",
          "0", std::to_string(segments[s].past));
  append_key_tiles(plan, segments, count);
  return plan;
}

AttentionPlan HostAttentionPlan::on_device(const int32_t* device) const {
  AttentionPlan plan{};
  plan.tile_count = tiles;
  plan.key_tile_count = key_tiles;
  plan.tiles = reinterpret_cast<const AttentionTile*>(device);
  plan.rows = reinterpret_cast<const AttentionRows*>(device + rows_at);
  plan.chain = reinterpret_cast<const KeyRange*>(device + chain_at);
  plan.key_tiles = reinterpret_cast<const KeyTile*>(device + key_tiles_at);
  plan.readers = reinterpret_cast<const RowRange*>(device + readers_at);
  return plan;
}

}  // namespace reasonrec::cuda
