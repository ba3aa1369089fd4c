// Kernels by name, for whoever compares them: a call takes plain arrays, packs what the kernel
// wants packed, and hands back what is to be timed. Names, sizes and arrays (floats, row-major; ids
// as floats):
//
//   gemm                     m n k     a (m,k), w (n,k)                        -> c (m,n)
//   gemm_lora                m n k r   a, w, xa (m,r), b (n,r)                 -> c, one product of
//   k + r terms gemm_lora_composed       the same, two products pack                     n k w ->
//   nothing rmsnorm                  t h       x (t,h), w (h)                          -> y
//   rmsnorm_backward         t h       dy, x, w                                -> dx
//   layernorm                t h       x, w, b (h)                             -> y
//   relu                     t h       x                                       -> y
//   rope                     t heads d x (t,heads,d)                           -> x turned to
//   positions 0, 1, .. swiglu                   t h       gate, up -> y swiglu_backward          t
//   h       dy, gate, up                            -> dgate, dup add                      t h y, x
//   -> y embedding                t h v     table (v,h), ids (t)                    -> y attention
//   prompt group rows heads kvHeads d   q, k, v (prompt + group rows, ..)
//                                      -> out of the group's rows; the prompt is one segment
//   attention_unshared       the same, the prompt computed for every member
//   attention_backward       q, k, v, dout -> dq of the group's rows
//   attention_backward_unshared
//   head                     t h v     hidden (t,h), head (v,h), targets (t)   -> logprob, lse,
//   entropy head_logits              the same, every logit written head_backward            t h v
//   hidden, head, targets, dlogprob (t)     -> dhidden sum_of_squares           t h       x -> one
//   value adamw                    t h       w, g                                    -> w after one
//   step
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/panel_store.h"

namespace reasonrec {

struct KernelCall {
  std::string kernel;
  WeightType storage = WeightType::kF32;  // of packed weights
  Compute compute = Compute::kF32;        // of products with them
  std::map<std::string, int64_t> sizes;
  std::vector<std::vector<float>> inputs;
  std::vector<std::vector<float>> outputs;  // filled by the run

  int64_t size(const char* name) const;  // throws RR_BAD_ARGUMENT
  // Input `index`, which must hold n values. Throws RR_SHAPE_MISMATCH.
  const float* input(size_t index, int64_t n) const;
  float* output(int64_t n);  // one more
};

// What is timed; may be called often. The call must outlive it. Throws RR_BAD_ARGUMENT for a name
// that is not there.
std::function<void()> prepare_kernel(const Context&, KernelCall&);
// The plain loops in fp64 of native/ops; false where there are none for this kernel.
bool run_reference(KernelCall&);

}  // namespace reasonrec
