#include "ops/attention_blocks.h"

#include <algorithm>
#include <string>

#include "core/check.h"

namespace reasonrec {

int64_t key_floats(const AttentionShape& shape, int64_t capacity) {
  return shape.kv_heads * capacity * shape.head_dim;
}
int64_t value_floats(const AttentionShape& shape, int panel, int64_t capacity) {
  return shape.kv_heads * int64_t((shape.head_dim + panel - 1) / panel) * panel * capacity;
}

std::vector<KvBlock> lend_blocks(const Context& context, const char* name,
                                 const AttentionShape& shape,
                                 const std::vector<Segment>& segments) {
  const int panel = context.kernels->panel;
  const auto capacity = [panel](const Segment& s) { return (s.rows + panel - 1) / panel * panel; };
  int64_t floats = 0;
  for (const Segment& s : segments) {
    check(s.past == 0, "RR_SHAPE_MISMATCH", "keys that a training segment already holds", "0",
          std::to_string(s.past));
    floats += key_floats(shape, capacity(s)) + value_floats(shape, panel, capacity(s));
  }
  float* next = context.scratch->floats(name, floats);
  std::fill_n(next, floats, 0.0f);
  std::vector<KvBlock> out;
  for (const Segment& s : segments) {
    KvBlock block;
    block.capacity = capacity(s);
    block.k = next;
    block.v = block.k + key_floats(shape, block.capacity);
    next = block.v + value_floats(shape, panel, block.capacity);
    out.push_back(block);
  }
  return out;
}

}  // namespace reasonrec
