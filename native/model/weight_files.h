// The files of a model as tensors under their checkpoint names ("model.layers.0.self_attn.q_proj.
// weight"): safetensors, or a GGUF file or its parts, whose tensors have other names and, for the
// llama architecture, rows of q and k in another order. GGUF interleaves the two halves that rotary
// positions turn: its row 2 j + s of a head is row j + s d / 2 of the checkpoint.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/gguf.h"
#include "core/safetensors.h"
#include "model/config.h"

namespace reasonrec {

struct StoredTensor {
  TensorView view;
  int64_t interleaved = 0;  // rows of a head (d) where rows are interleaved within heads, else 0
  // Checkpoint rows [first, first + count) into out (count, row_length). A vector is one row.
  void rows(float* out, int64_t first, int64_t count) const;
  void vector(float* out) const;  // a whole vector, each element a row of its own if interleaved
};

class WeightFiles {
 public:
  // Throws RR_UNEXPECTED_TENSOR for a name twice, and what the readers throw.
  WeightFiles(const ModelConfig&, const std::vector<std::string>& paths);
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  // Divisors of the rotary frequencies that a GGUF file carries (d / 2), else empty.
  const std::vector<float>& rope_divisors() const { return rope_divisors_; }

 private:
  void add(const std::string& name, StoredTensor tensor, const std::string& path);
  // llama: the architecture that the first file names; further parts of a model do not say.
  void add_gguf(const ModelConfig&, const GgufFile&, bool llama, const std::string& path);
  std::vector<std::unique_ptr<SafetensorsFile>> safetensors_;
  std::vector<std::unique_ptr<GgufFile>> gguf_;
  std::map<std::string, StoredTensor> tensors_;
  std::vector<float> rope_divisors_;
};

// "model.layers.3.mlp.up_proj.weight" for "blk.3.ffn_up.weight"; the name itself where it is none
// of a decoder's.
std::string checkpoint_name(const std::string& gguf_name);

}  // namespace reasonrec
