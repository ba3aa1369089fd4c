// Memory of long-lived keys and values: one allocation per segment holds its blocks of all layers.
// Released memory is kept and lent again, so the steady state of decoding allocates nothing.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "core/workspace.h"
#include "model/decoder.h"

namespace reasonrec {

// A segment's blocks; `memory` goes back to the cache by KvCache::release.
struct KvSegment {
  std::unique_ptr<Buffer> memory;
  int64_t capacity = 0;  // keys, a multiple of the panel
  std::vector<KvBlock>
      layers;  // one per layer; one alone where a batch's keys need not outlive their layer
  bool empty() const { return !memory; }
};

class KvCache {
 public:
  KvCache(const ModelConfig& config, int panel) : config_(config), panel_(panel) {}

  // Zeroed blocks for at least `keys` keys in `layers` layers (1, or the model's).
  KvSegment acquire(int64_t keys, int64_t layers);
  KvSegment copy(const KvSegment&);
  void release(KvSegment&&);
  int64_t panel() const { return panel_; }

 private:
  const ModelConfig& config_;
  int panel_;
  std::map<int64_t, std::vector<std::unique_ptr<Buffer>>> free_;  // by floats
  int64_t free_floats_ = 0, lent_floats_ = 0;
};

// The blocks of a batch, appended segment by segment in the batch's order: layers[layer][segment].
class KvTable {
 public:
  explicit KvTable(int64_t layers) { blocks.layers.resize(size_t(layers)); }
  void append(const KvSegment&);
  KvBlocks blocks;
};

}  // namespace reasonrec
