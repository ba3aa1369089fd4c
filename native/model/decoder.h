// The decoder: packed rows of segment trees through every layer, forward and backward.
//
//   x = embed(ids)
//   each layer:  x += O(attention(rope(QKV(norm(x)))));  x += down(silu(gate(n)) * up(n)), n =
//   norm(x) hidden = norm(x)
//
// One code path serves prompts, decoding steps, candidate scoring and training: a batch is rows
// plus a tree of segments (backend.h), and a row's bits do not depend on what else the batch holds.
#pragma once
#include <vector>

#include "backend/backend.h"
#include "model/lora.h"
#include "model/weights.h"

namespace reasonrec {

struct Batch {
  std::vector<int32_t> ids;        // T
  std::vector<int32_t> positions;  // T; a child's rows go on where its parent ends
  std::vector<Segment> segments;   // parents first; rows of all segments tile [0, T) in order
  int64_t rows() const { return int64_t(ids.size()); }
  // Appends a segment and its rows; positions start at `position`. Returns its index.
  int32_t append(const int32_t* tokens, int64_t count, int32_t parent, int32_t position,
                 int64_t past = 0);
};

// Keys and values of a batch's segments: blocks[layer][segment]. Decoding owns long-lived ones
// (decode/kv_cache.h); training lends one layer's worth of scratch to every layer.
struct KvBlocks {
  std::vector<std::vector<KvBlock>> layers;
  const KvBlock* layer(int64_t l) const {
    return layers[layers.size() == 1 ? 0 : size_t(l)].data();
  }
};

// Floats that a block of `capacity` keys takes for k, and for v (capacity a multiple of panel).
int64_t kv_floats_k(const ModelConfig&, int panel, int64_t capacity);
int64_t kv_floats_v(const ModelConfig&, int panel, int64_t capacity);

// What the forward leaves for the backward, per layer. With recompute, only the layer inputs.
struct Activations {
  bool recompute = false;
  float dropout = 0;  // on the inputs of adapted linears; masks by Philox(dropout_seed, layer * 4 +
                      // input, element)
  uint64_t dropout_seed = 0;
  int64_t first_row = 0;  // row number of this batch's first row within the step: keeps masks apart
                          // across micro-batches
  struct Layer {
    Buffer x, inv_rms_1, q, k, v, q_raw, k_raw, inv_rms_q, inv_rms_k, attention, lse, x_mid,
        inv_rms_2, gate, up;
    Buffer u[kLinears];  // (T, r): the trained adapter's low-rank products
  };
  std::vector<Layer> layers;
  Layer rerun;  // the one full layer of the recompute option
  Buffer x_final, inv_rms_final;
};

struct Gradients {
  float* adapter =
      nullptr;  // flat like AdapterStack::trained's values, +=; null: no adapter gradient
  float* model = nullptr;  // flat like Model::layout(), +=; null: base frozen
};

// hidden (T, H) after the final norm. kv: blocks the batch's keys are appended to. saved: null
// outside training.
void decoder_forward(const Context&, const Model&, const AdapterStack&, const Batch&,
                     const KvBlocks& kv, float* hidden, Activations* saved);
// Training's forward: keys and values in scratch, activations kept.
void decoder_forward_train(const Context&, const Model&, const AdapterStack&, const Batch&,
                           float* hidden, Activations& saved);
void decoder_backward(const Context&, const Model&, const AdapterStack&, const Batch&,
                      Activations& saved, const float* dhidden, const Gradients&);

}  // namespace reasonrec
