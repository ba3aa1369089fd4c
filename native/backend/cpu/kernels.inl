// The kernel table of one instruction set. Included inside its namespace after its vec_*.h.
// clang-format off: each builds on the ones before it
#include "backend/cpu/exp.inl"
#include "backend/cpu/rows.inl"
#include "backend/cpu/gemm_micro.inl"
#include "backend/cpu/rounding.inl"
#include "backend/cpu/pack.inl"
#include "backend/cpu/gemm.inl"
#include "backend/cpu/rmsnorm.inl"
#include "backend/cpu/layernorm.inl"
#include "backend/cpu/relu.inl"
#include "backend/cpu/rope.inl"
#include "backend/cpu/swiglu.inl"
#include "backend/cpu/embedding.inl"
#include "backend/cpu/attention.inl"
#include "backend/cpu/attention_backward.inl"
#include "backend/cpu/head_loss.inl"
#include "backend/cpu/adamw.inl"
// clang-format on

static Kernels kernel_table(const char* name) {
  Kernels table{};
  table.name = name;
  table.panel = kPanel;
  table.pack = pack<float>;
  table.pack_bf16 = pack<uint16_t>;
  table.pack_rows = pack_rows;
  table.gemm = gemm;
  table.rmsnorm_forward = rmsnorm_forward;
  table.rmsnorm_backward = rmsnorm_backward;
  table.layernorm_forward = layernorm_forward;
  table.layernorm_backward = layernorm_backward;
  table.relu_forward = relu_forward;
  table.relu_backward = relu_backward;
  table.rope = rope;
  table.swiglu_forward = swiglu_forward;
  table.swiglu_backward = swiglu_backward;
  table.add = add;
  table.scale = scale;
  table.sum_rows = sum_rows;
  table.dropout = dropout;
  table.embedding_forward = embedding_forward;
  table.embedding_backward = embedding_backward;
  table.kv_append = kv_append;
  table.attention_forward = attention_forward;
  table.attention_backward = attention_backward;
  table.head_forward = head_forward;
  table.head_backward = head_backward;
  table.sum_of_squares = sum_of_squares;
  table.adamw = adamw;
  return table;
}
