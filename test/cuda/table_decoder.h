// A decoder with one adapter made of calls of the C table alone, forward and backward: it shows
// that the table is enough for a model, and rehearses the order of calls that the program will
// make. The residual stream is fp32, everything a product touches is of one type.
#pragma once
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/cuda/attention_plan.h"
#include "device.h"
#include "model/decoder.h"

namespace reasonrec::test {

class TableDecoder {
 public:
  TableDecoder(DataType type, Model& model, const Adapter& adapter)
      : config_(model.config()), type_(type), adapter_(adapter) {
    for (const Parameter& p : model.layout().entries) {
      const std::vector<float> values(model.values() + p.offset,
                                      model.values() + p.offset + p.size());
      if (p.decay)
        matrices_.emplace(p.name, DeviceValues(type, values));
      else
        vectors_.emplace(p.name, DeviceArray<float>(values));
    }
    const int64_t angles = model.most_positions() * config_.head_dim / 2;
    cos_.emplace(std::vector<float>(model.rope_cos(), model.rope_cos() + angles));
    sin_.emplace(std::vector<float>(model.rope_sin(), model.rope_sin() + angles));
    for (const Parameter& p : adapter.layout().entries) {
      std::vector<float> values(adapter.values() + p.offset,
                                adapter.values() + p.offset + p.size());
      if (p.name.find("lora_A") != std::string::npos)
        for (float& x : values) x *= adapter.scale(0, kQ);
      matrices_.emplace(p.name, DeviceValues(type, values));
      gradients_.emplace(p.name, DeviceArray<float>(std::vector<float>(size_t(p.size()), 0.0f)));
    }
  }

  // Keys and values by slot, for a forward over a cache; null: the batch's own rows.
  struct Cache {
    std::vector<DeviceValues> k, v;
    std::vector<int32_t> first_slots;  // of the batch's segments
    std::vector<int32_t> row_slots;    // where the batch's rows go
  };

  // log p(target) of every row (0 where there is none); activations stay for backward().
  std::vector<float> logprobs(const Batch& batch, const std::vector<int32_t>& targets,
                              Cache* cache);
  // After a forward without cache: gradients of sum weight * log p by the adapter's names.
  void backward(const Batch& batch, const std::vector<float>& weights);
  std::vector<float> gradient(const std::string& name) const { return gradients_.at(name).host(); }
  const ModelConfig& config() const { return config_; }

 private:
  struct Layer {
    std::map<std::string, DeviceValues> values;
    const DeviceValues& operator[](const char* name) const { return values.at(name); }
  };

  void* make(Layer& layer, const std::string& name, DataType type, int64_t n) {
    layer.values.erase(name);
    return layer.values.emplace(name, DeviceValues(type, n)).first->second.data();
  }
  static std::string linear_name(int64_t l, Linear which) {
    return "model.layers." + std::to_string(l) + (which <= kO ? ".self_attn." : ".mlp.") +
           kLinearNames[which];
  }
  static std::string lora_name(int64_t l, Linear which, const char* half) {
    return "base_model.model." + linear_name(l, which) + half;
  }
  const float* vector(const std::string& name) const {
    const auto found = vectors_.find(name);
    return found == vectors_.end() ? nullptr : found->second.data();
  }
  const void* head() const {
    return matrices_.at(config_.tied_head ? "model.embed_tokens.weight" : "lm_head.weight").data();
  }
  cuda::HeadInput head_input(int64_t rows) const {
    return {final_["hidden"].data(), head(),       targets_->data(), nullptr, nullptr, 1.0f, rows,
            config_.hidden,          config_.vocab};
  }
  cuda::AttentionHeads heads() const {
    return {config_.heads, config_.kv_heads, config_.head_dim,
            float(1 / std::sqrt(double(config_.head_dim)))};
  }
  void norm(void* y, DataType y_type, Layer& layer, const char* inv, DataType x_type, const void* x,
            const std::string& weight, int64_t rows, int64_t width) {
    call(table_.rmsnorm_forward(nullptr, y_type, y,
                                static_cast<float*>(make(layer, inv, kF32, rows)), x_type, x,
                                vector(weight), rows, width, config_.rms_eps));
  }
  void rope(void* x, int heads, bool inverse) {
    call(table_.rope(nullptr, type_, x, positions_->data(), cos_->data(), sin_->data(), rows_,
                     heads, config_.head_dim, inverse));
  }

  // y = (or += into the fp32 residual) x [W | B]; the adapter's u is kept.
  void linear(Layer& layer, int64_t l, Linear which, DataType y_type, void* y, const void* x);
  // dx fp32 (+=) and the adapter's gradients from dy of type_.
  void linear_backward(const Layer& layer, int64_t l, Linear which, float* dx, bool accumulate,
                       const void* dy, const void* x);
  void layer_forward(Layer&, int64_t l, const cuda::AttentionPlan&, Cache*);
  void layer_backward(Layer&, int64_t l, const cuda::AttentionPlan&, float* dx);

  const cuda::Table& table_ = device_table();
  ModelConfig config_;
  DataType type_;
  const Adapter& adapter_;
  std::map<std::string, DeviceValues> matrices_;
  std::map<std::string, DeviceArray<float>> vectors_, gradients_;
  std::optional<DeviceArray<float>> cos_, sin_;
  std::optional<DeviceArray<int32_t>> positions_, targets_;
  std::vector<Layer> layers_;
  Layer final_;
  void* x_ = nullptr;  // (rows, hidden) fp32, the residual stream
  int64_t rows_ = 0;
};

}  // namespace reasonrec::test
