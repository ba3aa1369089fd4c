// Which query rows attention multiplies together. A tile holds rows that see the same ancestors:
// some consecutive rows of one segment, or several short sibling segments (a group being decoded),
// so that the shared keys are read once for all of them. Tiles never change a row's bits: a row's
// sums run over its own keys in order, and keys it may not see add exact zeros.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace reasonrec::cpu {

// Rows [first, first + rows) of one segment.
struct AttentionRows {
  int32_t segment;
  int64_t first, rows;
};

// One ancestor of a tile: its keys lie at columns [offset, offset + keys) of the tile's scores.
struct AttentionAncestor {
  int32_t segment;
  int64_t offset, keys;
};

struct AttentionTile {
  int64_t rows_begin, rows_end;    // range of AttentionRows, all with the same parent
  int64_t rows;                    // their sum
  int64_t chain_begin, chain_end;  // range of ancestors, root first; own segments not included
  int64_t ancestor_keys;  // sum over ancestors, each rounded up to whole panels: own keys' offset
  int64_t own_keys;       // most keys any row sees of its own segment, rounded up
};

// Out-of-line special members, here and below: they must not be compiled for wide vectors
// (launch.h).
struct AttentionPlan {
  AttentionPlan();
  AttentionPlan(AttentionPlan&&) noexcept;
  ~AttentionPlan();
  std::vector<AttentionRows> row_list;
  std::vector<AttentionTile> tile_list;
  std::vector<AttentionAncestor> chain_list;
  // The same as plain pointers, for code compiled for one instruction set.
  const AttentionRows* rows = nullptr;
  const AttentionTile* tiles = nullptr;
  const AttentionAncestor* chain = nullptr;
  int64_t tile_count = 0;
  int64_t most_rows = 0, most_keys = 0;  // over tiles
};

// consecutive: rows of one segment per tile; together: rows of sibling segments per tile.
// blocks may be null (then capacities are not checked). Throws RR_BAD_SEGMENTS.
AttentionPlan plan_attention(const Segment* segments, const KvBlock* blocks, int64_t count,
                             int panel, int64_t consecutive, int64_t together);
// The same in memory that the calling thread keeps: valid until its next call, no allocation once
// it has grown.
const AttentionPlan& plan_attention_again(const Segment* segments, const KvBlock* blocks,
                                          int64_t count, int panel, int64_t consecutive,
                                          int64_t together);

// The trees of a batch, for the backward: segment ranges [begin[i], begin[i + 1]) of whole trees.
// A root's descendants need not be neighbours: trees that interleave are joined.
struct AttentionTrees {
  AttentionTrees();
  AttentionTrees(AttentionTrees&&) noexcept;
  ~AttentionTrees();
  std::vector<int64_t> begin_list, root_list,
      last_list;  // per tree; per segment: its root, a root's last one
  const int64_t* begin = nullptr;
  int64_t count = 0;
  int64_t most_padded_keys =
      0;  // over trees: sum of segments' rows, each rounded up to whole panels
  int64_t most_padded_segment = 0;  // over segments
};
// In memory that the calling thread keeps, as plan_attention_again().
const AttentionTrees& attention_trees(const Segment* segments, int64_t count, int panel);

}  // namespace reasonrec::cpu
