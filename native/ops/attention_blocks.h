// Memory for the keys and values that attention multiplies by, where a batch is trained and nothing
// outlives it: one block per segment, in scratch memory, lent to every layer in turn.
#pragma once
#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace reasonrec {

// Floats of a block of `capacity` keys (a multiple of panel), for k and for v.
int64_t key_floats(const AttentionShape&, int64_t capacity);
int64_t value_floats(const AttentionShape&, int panel, int64_t capacity);

// Blocks for the segments' rows, zeroed: the places after a segment's last key are multiplied (by
// zero), so they must hold finite numbers. Valid until the next call with the same name.
// Throws RR_SHAPE_MISMATCH for a segment that holds keys already.
std::vector<KvBlock> lend_blocks(const Context&, const char* name, const AttentionShape&,
                                 const std::vector<Segment>&);

}  // namespace reasonrec
