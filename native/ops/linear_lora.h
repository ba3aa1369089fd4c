// A linear layer with low-rank adapters carried as extra columns of ONE product (never merged):
//   u_i = x_lora (s_i A_i)^T                      (T, r_i)
//   y   = [W | B_0 | B_1] [x ; u_0 ; u_1] + bias  (T, out)
// Training and decoding both run this, which is what makes their log-probs agree to the bit.
//
// Backward of the trained adapter i, given dy (T, out):
//   dB_i += dy^T u_i      du_i = dy B_i      dA_i += s_i du_i^T x_lora
//   dx = dy W             dx_lora = sum over ALL adapters of du_i (s_i A_i)
// and in full-parameter mode dW += dy^T x, dbias += sum of dy's rows. Weight gradients add rows in
// ascending order into what is there, so one batch of eight and eight of one give the same bits.
//
// Saved for backward: u_i (T, r_i), the caller's memory. x_lora is x itself without dropout.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

struct LinearWeight {
  int64_t in = 0, out = 0;
  Panels forward;               // (in, out)
  Panels backward;              // (out, in); empty until prepare_backward()
  const float* bias = nullptr;  // (out) or null
};

// One linear's pair, packed for the kernels. Null data: this linear has no adapter.
struct LoraPanels {
  int rank = 0;
  Panels a;    // (in, r):  u = x (sA)^T
  Panels b;    // (r, out): y += u B^T
  Panels a_t;  // (r, in):  dx += du (sA)
  Panels b_t;  // (out, r): du = dy B
};

inline constexpr int kMaxLoraTerms = 2;  // frozen, trained

struct LoraTerm {
  const LoraPanels* panels = nullptr;  // panels->a empty: this linear has no such adapter; skipped
  float* u = nullptr;                  // (T, rank), written by forward, read by backward
};

// y (T, out) is overwritten. x, x_lora: (T, in).
void linear_lora_forward(const Context&, float* y, const float* x, const float* x_lora,
                         const LinearWeight&, const LoraTerm* terms, int term_count, int64_t t);

// What a backward adds to; null members are not computed.
struct LinearGradients {
  int trained = -1;        // index into terms of the adapter that learns, -1 for none
  float scale = 1;         // its s
  float* da = nullptr;     // (r, in) +=
  float* db = nullptr;     // (out, r) +=
  float* dw = nullptr;     // (out, in) +=, full-parameter mode
  float* dbias = nullptr;  // (out) +=
};

// dx (T, in): overwritten, or += with `accumulate`; null: no input gradient wanted (then dx_lora is
// ignored). dx_lora (T, in): the adapters' part, overwritten, for the caller to mask with the
// dropout and add;
//   null: it is added to dx as further terms of the same product (no dropout).
void linear_lora_backward(const Context&, float* dx, float* dx_lora, bool accumulate,
                          const float* dy, const float* x, const float* x_lora, const LinearWeight&,
                          const LoraTerm* terms, int term_count, const LinearGradients&, int64_t t);

namespace reference {
// Plain loops in fp64. w (out, in), bias (out) or null, a (r, in), b (out, r); y (T, out).
void linear_lora(double* y, const double* x, const double* w, const double* bias, const double* a,
                 const double* b, double scale, int rank, int64_t t, int64_t in, int64_t out);
}  // namespace reference

}  // namespace reasonrec
