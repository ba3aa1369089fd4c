// What a decoder of the Llama, Mistral, Qwen2/2.5 or Qwen3 family needs to know about itself.
// Filled from config.json by TypeScript (src/engine/model-config.ts), which owns the file format.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace reasonrec {

struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3, kYarn } kind = Kind::kNone;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int64_t original_max_position = 8192;
  double beta_fast = 32, beta_slow = 1;  // yarn: rotations within the original length
  bool truncate = true;                  // yarn: the ramp's ends are whole pair numbers
  double attention_factor = 1;           // cos and sin are multiplied by it
  std::vector<float> divisors;           // (d / 2) of the frequencies, from a GGUF file; or empty
};

struct ModelConfig {
  std::string family;  // "llama", "mistral", "qwen2", "qwen3"
  int64_t hidden = 0, intermediate = 0, layers = 0, vocab = 0, max_position = 0;
  int heads = 0, kv_heads = 0, head_dim = 0;
  float rms_eps = 1e-5f;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  bool tied_head = false;
  bool qkv_bias = false;  // Qwen2, Llama with attention_bias
  bool o_bias = false;    // Llama with attention_bias
  bool mlp_bias = false;
  bool qk_norm = false;  // Qwen3: RMSNorm over each head of q and k, before rope
  // Not config.json's: how products with the weights and the adapters are computed.
  Compute compute = Compute::kF32;
};

// The seven linear maps of a layer, in PEFT's names.
enum Linear : int { kQ, kK, kV, kO, kGate, kUp, kDown, kLinears };
inline constexpr const char* kLinearNames[kLinears] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                       "gate_proj", "up_proj", "down_proj"};
int64_t linear_in(const ModelConfig&, Linear);
int64_t linear_out(const ModelConfig&, Linear);

void validate(const ModelConfig&);  // throws RR_BAD_MODEL for shapes no decoder can have
// Angle per position of each rotary pair (d / 2), fp64, scaling applied.
std::vector<double> rope_frequencies(const ModelConfig&);

}  // namespace reasonrec
