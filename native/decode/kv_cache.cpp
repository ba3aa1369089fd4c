// Free memory is reused where its size fits within a quarter, and given back to the system once
// more of it lies idle than is in use; everything handed out is zeroed, because attention
// multiplies the masked keys of a panel by zero and needs them finite.
#include "decode/kv_cache.h"

#include <algorithm>

namespace reasonrec {

KvSegment KvCache::acquire(int64_t keys, int64_t layers) {
  KvSegment segment;
  segment.capacity = std::max<int64_t>(1, (keys + panel_ - 1) / panel_) * panel_;
  const int64_t k =
      (kv_floats_k(config_, panel_, segment.capacity) + 15) / 16 * 16;  // 64-byte aligned
  const int64_t v = (kv_floats_v(config_, panel_, segment.capacity) + 15) / 16 * 16;
  const int64_t floats = layers * (k + v);
  const auto fit = free_.lower_bound(floats);
  if (fit != free_.end() && fit->first <= floats + floats / 4) {
    segment.memory = std::move(fit->second.back());
    fit->second.pop_back();
    if (fit->second.empty()) free_.erase(fit);
    free_floats_ -= segment.memory->size();
    std::fill_n(segment.memory->data(), floats, 0.0f);
  } else {
    if (free_floats_ > lent_floats_) {
      free_.clear();
      free_floats_ = 0;
    }
    segment.memory = std::make_unique<Buffer>(floats);
  }
  lent_floats_ += segment.memory->size();
  for (int64_t l = 0; l < layers; ++l) {
    float* at = segment.memory->data() + l * (k + v);
    segment.layers.push_back({at, at + k, segment.capacity});
  }
  return segment;
}

KvSegment KvCache::copy(const KvSegment& from) {
  KvSegment out = acquire(from.capacity, int64_t(from.layers.size()));
  const float* begin = from.memory->data();
  const float* end = from.layers.back().v + kv_floats_v(config_, panel_, from.capacity);
  std::copy(begin, end, out.memory->data());
  return out;
}

void KvCache::release(KvSegment&& segment) {
  if (segment.empty()) return;
  const int64_t floats = segment.memory->size();
  lent_floats_ -= floats;
  free_floats_ += floats;
  free_[floats].push_back(std::move(segment.memory));
  segment.layers.clear();
  segment.capacity = 0;
}

void KvTable::append(const KvSegment& segment) {
  const size_t last = segment.layers.size() - 1;
  for (size_t l = 0; l < blocks.layers.size(); ++l)
    blocks.layers[l].push_back(segment.layers[std::min(l, last)]);
}

}  // namespace reasonrec
