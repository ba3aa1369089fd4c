// THE contract between the program and libreasonrec_cuda.so: one flat C table of functions with an
// ABI number. It is backend.h once more for memory that lies on a device: same operations, same
// formulas, same order of every sum (one order per element, whatever the batch). What differs:
//   - every array pointer is a device pointer, unless it says host;
//   - every call only queues work on a stream and returns 0 or CUDA's error number (error_text);
//   - what products read and write (activations, weights, keys and values) is of one `DataType`:
//     bf16 in use, fp32 for finding faults. The residual stream, statistics (inv_rms, lse, log-
//     probs), norm weights, biases and gradients of parameters are fp32 always;
//   - matrices are row-major as checkpoints store them: W (out, in). One copy serves forward and
//     backward, no panels.
#pragma once
#include <cstdint>

namespace reasonrec::cuda {

inline constexpr int32_t kAbi = 1;

enum DataType : int32_t { kF32 = 0, kBF16 = 1 };

using Stream = void*;

struct DeviceInfo {
  char name[256];
  int64_t memory;  // bytes
  int32_t multiprocessors, major, minor;
};

// C += A (m, k) B (k, n). A[m][k] = a[m * a_stride + k], or a[k * a_stride + m] if transposed;
// B[k][n] = b[n * b_stride + k] (a weight (out, in) as it is), or b[k * b_stride + n] if
// transposed.
struct GemmTerm {
  const void* a;
  int64_t a_stride;
  const void* b;
  int64_t b_stride;
  int64_t k;
  int32_t a_transposed, b_transposed;
};
inline constexpr int kMaxGemmTerms = 3;  // the weight, a frozen and a trained adapter

enum GemmStart : int32_t { kStartZero = 0, kStartBias = 1, kStartAccumulate = 2 };

// ---- attention's plan (attention_plan.h), all in int32 ------------------------------------------
inline constexpr int kTileRows = 64;  // query rows x heads of a group in a tile
inline constexpr int kKeyTile = 64;   // keys of one segment in a tile of the backward

struct AttentionTile {  // rows that see the same ancestors, of one segment or of siblings
  int32_t rows_begin, rows_end, chain_begin, chain_end;
};
struct AttentionRows {  // batch rows [row, row + rows): row i sees `visible` + i keys of its own
  int32_t row, rows, first_slot, visible;
};
struct KeyRange {
  int32_t first_slot, keys;
};
struct KeyTile {  // `first`: number of its first key within the segment
  int32_t slot, keys, first, readers_begin, readers_end;
};
struct RowRange {  // batch rows that see a segment's keys: all of them, or of its own those up to
  int32_t row, rows, own;
};
struct AttentionPlan {
  const AttentionTile* tiles;
  const AttentionRows* rows;
  const KeyRange* chain;
  const KeyTile* key_tiles;
  const RowRange* readers;
  int32_t tile_count, key_tile_count;
};
struct AttentionHeads {
  int32_t heads, kv_heads, head_dim;  // head_dim even, at most 128
  float scale;
};

// ---- head
// ----------------------------------------------------------------------------------------
inline constexpr int kHeadBlock = 512;  // tokens of the vocabulary that one block goes through

// z = hidden (t, h) head (v, h)^T * inv_temperature. Row i may have the tokens
// allowed_ids[allowed_begin[i] .. allowed_begin[i + 1]) ascending; an empty range, or no lists at
// all, is the whole vocabulary.
struct HeadInput {
  const void *hidden, *head;
  const int32_t *targets, *allowed_begin, *allowed_ids;  // each may be null
  float inv_temperature;
  int64_t t, h, v;
};
// Who draws what: a row's draw is a function of these alone.
struct DrawInput {
  uint64_t seed;
  const uint64_t* streams;   // (t)
  const int64_t* positions;  // (t) tokens the row has drawn before
};
struct FilterInput {  // decode/sampler.h; the repetition penalty is not among them
  int32_t greedy, top_k;
  float top_p, min_p;
};

struct Table {
  int32_t abi;
  const char* build;  // "sm_80 sm_90 + PTX, CUDA 13.0", or "emulator"

  // ---- device -----------------------------------------------------------------------------------
  const char* (*error_text)(int32_t error);
  int32_t (*device_count)(int32_t* count);  // anything but 0: no GPU
  int32_t (*device_info)(int32_t device, DeviceInfo* info);
  int32_t (*use_device)(int32_t device);
  int32_t (*stream_create)(Stream* stream);
  int32_t (*stream_destroy)(Stream stream);
  int32_t (*stream_wait)(Stream stream);  // until everything queued is done
  int32_t (*allocate)(void** memory, int64_t bytes);
  int32_t (*release)(void* memory);
  int32_t (*upload)(Stream, void* to, const void* from_host, int64_t bytes);
  int32_t (*download)(Stream, void* to_host, const void* from, int64_t bytes);
  int32_t (*copy)(Stream, void* to, const void* from, int64_t bytes);
  int32_t (*zero)(Stream, void* to, int64_t bytes);

  // ---- rows.cu ----------------------------------------------------------------------------------
  int32_t (*convert)(Stream, DataType to_type, void* to, DataType from_type, const void* from,
                     int64_t n);
  int32_t (*add)(Stream, DataType x_type, float* y, const void* x, int64_t n);  // y += x
  int32_t (*scale)(Stream, DataType type, void* y, float s, int64_t n);         // y *= s
  // sum (n) += rows of x (t, n), ascending.
  int32_t (*sum_rows)(Stream, DataType x_type, float* sum, const void* x, int64_t t, int64_t n);
  // to[to_rows[i]] = from[from_rows[i]], rows of `width` values; a null list is 0, 1, 2, ...
  // Gathers hidden rows, appends and compacts keys and values. Targets are distinct and not among
  // the sources of another row.
  int32_t (*move_rows)(Stream, DataType type, void* to, const int32_t* to_rows, const void* from,
                       const int32_t* from_rows, int64_t count, int64_t width);
  // to[targets[i]] += from[sources[j]] for j in [begin[i], begin[i + 1]), ascending j: one order
  // without atomics. from_type rows into fp32. Embedding gradients and the head's way back.
  int32_t (*scatter_add_rows)(Stream, DataType from_type, float* to, const int32_t* targets,
                              const int32_t* begin, const int32_t* sources, const void* from,
                              int64_t count, int64_t width);
  // Element i of x * mask / (1 - p), word i % 4 of Philox(seed, stream_number, i / 4) >= p 2^32.
  int32_t (*dropout)(Stream, DataType type, void* y, const void* x, int64_t first_element,
                     int64_t n, float p, uint64_t seed, uint64_t stream_number);

  // ---- rmsnorm.cu, rope.cu, swiglu.cu, embedding.cu
  // ---------------------------------------------- y (t, h) y_type, x x_type, w fp32, inv_rms (t)
  // or null.
  int32_t (*rmsnorm_forward)(Stream, DataType y_type, void* y, float* inv_rms, DataType x_type,
                             const void* x, const float* w, int64_t t, int64_t h, float eps);
  // dx dx_type (+= if accumulate), dw (h) += or null; dy and x of their types.
  int32_t (*rmsnorm_backward)(Stream, DataType dx_type, void* dx, float* dw, DataType dy_type,
                              const void* dy, DataType x_type, const void* x, const float* w,
                              const float* inv_rms, int64_t t, int64_t h, int32_t accumulate);
  int32_t (*rope)(Stream, DataType type, void* x, const int32_t* positions, const float* cos,
                  const float* sin, int64_t t, int32_t heads, int32_t head_dim, int32_t inverse);
  int32_t (*swiglu_forward)(Stream, DataType type, void* y, const void* gate, const void* up,
                            int64_t n);
  int32_t (*swiglu_backward)(Stream, DataType type, void* dgate, void* dup, const void* dy,
                             const void* gate, const void* up, int64_t n);
  // y (t, h) fp32 = table (V, h) of `type` by id. Its backward is scatter_add_rows.
  int32_t (*embedding_forward)(Stream, DataType type, float* y, const int32_t* ids,
                               const void* table, int64_t t, int64_t h);

  // ---- gemm.cu ----------------------------------------------------------------------------------
  // c (m, n) of c_type, row stride ldc = start + terms in order, k ascending; bias (n) fp32. terms:
  // host. A and B of `type`.
  int32_t (*gemm)(Stream, DataType type, DataType c_type, void* c, int64_t ldc, int64_t m,
                  int64_t n, const GemmTerm* terms, int32_t term_count, GemmStart start,
                  const float* bias);

  // ---- attention.cu, attention_backward.cu
  // -------------------------------------------------------- out (t, heads, d), lse (t, heads) or
  // null; q (t, heads, d), k, v (slots, kv_heads, d) by the plan's slots. Keys are taken in blocks
  // of 32 from each segment's start, ancestors first.
  int32_t (*attention_forward)(Stream, DataType type, void* out, float* lse, const void* q,
                               const void* k, const void* v, AttentionPlan, AttentionHeads);
  // dq (t, heads, d), dk, dv (t, kv_heads, d) overwritten. delta: scratch, t * heads.
  int32_t (*attention_backward)(Stream, DataType type, void* dq, void* dk, void* dv, float* delta,
                                const void* dout, const void* out, const float* lse, const void* q,
                                const void* k, const void* v, AttentionPlan, AttentionHeads,
                                int64_t t);

  // ---- head_loss.cu, head_sample.cu
  // ---------------------------------------------------------------- fp32 values of scratch that a
  // head pass over t rows needs; call it in chunks of rows.
  int64_t (*head_scratch)(int64_t t, int64_t v);
  // backend.h's head_forward: lse (t); logprob, entropy (t) and raw logits (t, v) may be null.
  int32_t (*head_forward)(Stream, DataType type, float* logprob, float* entropy, float* lse,
                          float* logits, HeadInput, float* scratch);
  // dhidden (t, h) fp32 overwritten; dhead (v, h) += or null. dentropy may be null, then entropy
  // too. dz: scratch, t * chunk values of `type`; chunk: tokens at once, a multiple of 64.
  int32_t (*head_backward)(Stream, DataType type, float* dhidden, float* dhead,
                           const float* dlogprob, const float* dentropy, const float* lse,
                           const float* entropy, HeadInput, void* dz, int64_t chunk);
  // Draws in the same pass, no logits stored: argmax of z + Gumbel noise (Maddison et al. 2014), or
  // of z if greedy; the smaller id wins a tie. token (t), logprob, entropy and lse (t) as
  // head_forward's for that token, to the bit.
  int32_t (*head_sample)(Stream, DataType type, int32_t* token, float* logprob, float* entropy,
                         float* lse, HeadInput, DrawInput, int32_t greedy, float* scratch);
  // Draws from stored logits through the filters, as decode/sampler.h does with the uniform number
  // of (seed, stream, position). logprob = logit * inv_temperature - lse.
  int32_t (*head_sample_filtered)(Stream, int32_t* token, float* logprob, const float* logits,
                                  const float* lse, HeadInput, DrawInput, FilterInput);

  // ---- adamw.cu ---------------------------------------------------------------------------------
  // *sum (fp64 on the device) of squares; scratch: (n + 4095) / 4096 fp64 values.
  int32_t (*sum_of_squares)(Stream, double* sum, double* scratch, const float* x, int64_t n);
  // backend.h's adamw. squares: what sum_of_squares left; the gradient is scaled by
  // min(1, clip / (sqrt(squares) + 1e-6)) where clip > 0, and nothing is written where squares is
  // not finite.
  int32_t (*adamw)(Stream, float* w, float* m, float* v, const float* g, int64_t n, float lr,
                   float beta1, float beta2, float eps, float weight_decay, float clip,
                   const double* squares, int64_t step);
};

// What each kernel file puts into the table.
void fill_rows(Table&);
void fill_rmsnorm(Table&);
void fill_rope(Table&);
void fill_swiglu(Table&);
void fill_embedding(Table&);
void fill_gemm(Table&);
void fill_attention(Table&);
void fill_attention_backward(Table&);
void fill_head_loss(Table&);
void fill_head_sample(Table&);
void fill_adamw(Table&);

}  // namespace reasonrec::cuda

// The library's one exported symbol: null for another ABI.
extern "C" __attribute__((visibility("default"))) const reasonrec::cuda::Table*
reasonrec_cuda_table(int32_t abi);
