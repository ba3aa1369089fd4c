// One decoder layer over a packed batch. With n = norm(x) and every linear W carrying its adapters:
//
//   q, k, v = W_q n, W_k n, W_v n;  (Qwen3: q, k = norm over each head);  q, k turned by rope
//   x += W_o attention(q, k, v)
//   x += W_down (silu(W_gate n) * W_up n),  n = norm(x)
//
// Backward recomputes the two norms and the silu product from what the forward kept; everything
// else it needs is in Activations::Layer.
#pragma once
#include "model/decoder.h"

namespace reasonrec {

struct LayerCall {
  const Context& context;
  const Model& model;
  const AdapterStack& adapters;
  const Batch& batch;
  const KvBlock* kv = nullptr;  // this layer's blocks, one per segment; forward only
  int64_t layer = 0;
  const Activations* dropout = nullptr;  // where p, seed and first row are; null: no dropout
};

// x (T, H): the layer's input, replaced by its output. saved: null outside training.
void layer_forward(const LayerCall&, float* x, Activations::Layer* saved);

// dx (T, H): gradient of the output, replaced by that of the input; with want_dx = false what is
// left in dx means nothing and the last products are not computed.
void layer_backward(const LayerCall&, float* dx, const Activations::Layer& saved, const Gradients&,
                    bool want_dx);

}  // namespace reasonrec
