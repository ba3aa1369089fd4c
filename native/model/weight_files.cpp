// See weight_files.h.
#include "model/weight_files.h"

#include "core/check.h"

namespace reasonrec {
namespace {

struct NamePair {
  const char *gguf, *checkpoint;
};
constexpr NamePair kWhole[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr NamePair kOfLayer[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::string checkpoint_name(const std::string& name) {
  const size_t dot = name.find_last_of('.');
  if (dot == std::string::npos) return name;
  const std::string stem = name.substr(0, dot), kind = name.substr(dot);
  for (const NamePair& pair : kWhole)
    if (stem == pair.gguf) return pair.checkpoint + kind;
  if (stem.rfind("blk.", 0) != 0) return name;
  const size_t end = stem.find('.', 4);
  if (end == std::string::npos) return name;
  for (const NamePair& pair : kOfLayer)
    if (stem.substr(end + 1) == pair.gguf)
      return "model.layers." + stem.substr(4, end - 4) + "." + pair.checkpoint + kind;
  return name;
}

void StoredTensor::rows(float* out, int64_t first, int64_t count) const {
  if (interleaved == 0) return view.rows_to_float(out, first, count);
  const int64_t half = interleaved / 2, width = view.row_length();
  for (int64_t r = 0; r < count; ++r) {
    const int64_t row = first + r, head = row / interleaved, within = row % interleaved;
    const int64_t stored = head * interleaved + 2 * (within % half) + within / half;
    view.rows_to_float(out + r * width, stored, 1);
  }
}

void StoredTensor::vector(float* out) const {
  const int64_t n = view.elements();
  if (interleaved == 0) return view.to_float(out);
  std::vector<float> stored(static_cast<size_t>(n));
  view.to_float(stored.data());
  const int64_t half = interleaved / 2;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t within = i % interleaved;
    out[i] = stored[size_t(i - within + 2 * (within % half) + within / half)];
  }
}

WeightFiles::WeightFiles(const ModelConfig& config, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (GgufFile::is_gguf(path)) {
      gguf_.push_back(std::make_unique<GgufFile>(path));
      add_gguf(config, *gguf_.back(), gguf_.front()->text("general.architecture") == "llama", path);
      continue;
    }
    safetensors_.push_back(std::make_unique<SafetensorsFile>(path));
    for (const auto& [name, view] : safetensors_.back()->tensors()) add(name, {view}, path);
  }
}

void WeightFiles::add(const std::string& name, StoredTensor tensor, const std::string& path) {
  check(tensors_.emplace(name, std::move(tensor)).second, "RR_UNEXPECTED_TENSOR",
        name + " is stored in more than one weight file", "one", "again in " + path,
        "remove the file that does not belong to the model");
}

void WeightFiles::add_gguf(const ModelConfig& config, const GgufFile& file, bool llama,
                           const std::string& path) {
  for (const auto& [name, view] : file.tensors()) {
    if (name == "rope_freqs.weight") {
      const int64_t half = config.head_dim / 2;
      check(view.elements() == half, "RR_SHAPE_MISMATCH", "shape of " + name, std::to_string(half),
            std::to_string(view.elements()), "the file's metadata belong to another model");
      rope_divisors_.resize(size_t(half));
      view.to_float(rope_divisors_.data());
      continue;
    }
    const std::string known = checkpoint_name(name);
    const bool query_or_key =
        known.find(".q_proj.") != std::string::npos || known.find(".k_proj.") != std::string::npos;
    const int64_t rows =
        ends_with(known, ".bias") ? view.elements() : view.elements() / view.row_length();
    const bool interleaved = llama && query_or_key && rows % config.head_dim == 0;
    add(known, {view, interleaved ? config.head_dim : 0}, path);
  }
}

}  // namespace reasonrec
