// A batch's tree of segments as the attention kernels walk it: made once per batch on the host,
// uploaded once, the same for all layers. Keys are numbered by slot: slot s of a layer's keys is
// row s of its array k (slots, kv_heads, d). In training a slot is the batch's row itself and
// nothing is copied; in decoding it is a row of the cache.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/table.h"

namespace reasonrec::cuda {

struct HostAttentionPlan {
  std::vector<int32_t> words;  // to be uploaded
  int32_t tiles = 0, key_tiles = 0;
  int32_t rows_at = 0, chain_at = 0, key_tiles_at = 0, readers_at = 0;  // offsets into words
  // The plan of words that were uploaded to `device`.
  AttentionPlan on_device(const int32_t* device) const;
};

// first_slots: slot of each segment's first key, null: its first row (then past must be 0, and the
// backward's lists are made too). Throws RR_BAD_SEGMENTS.
HostAttentionPlan make_attention_plan(const Segment* segments, const int32_t* first_slots,
                                      int64_t count, const AttentionShape&);

}  // namespace reasonrec::cuda
