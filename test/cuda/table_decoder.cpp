// See table_decoder.h; the formulas stand in model/decoder_layer.h.
#include "table_decoder.h"

namespace reasonrec::test {

using cuda::GemmTerm;

void TableDecoder::linear(Layer& layer, int64_t l, Linear which, DataType y_type, void* y,
                          const void* x) {
  const int64_t in = linear_in(config_, which), out = linear_out(config_, which);
  const int64_t r = adapter_.rank(l, which);
  void* u = make(layer, "u" + std::to_string(which), type_, rows_ * r);
  const GemmTerm down{x, in, matrices_.at(lora_name(l, which, ".lora_A.weight")).data(), in, in,
                      0, 0};
  call(table_.gemm(nullptr, type_, type_, u, r, rows_, r, &down, 1, cuda::kStartZero, nullptr));
  const GemmTerm terms[2] = {
      {x, in, matrices_.at(linear_name(l, which) + ".weight").data(), in, in, 0, 0},
      {u, r, matrices_.at(lora_name(l, which, ".lora_B.weight")).data(), r, r, 0, 0}};
  const float* bias = vector(linear_name(l, which) + ".bias");
  call(table_.gemm(nullptr, type_, y_type, y, out, rows_, out, terms, 2,
                   y == x_ ? cuda::kStartAccumulate
                   : bias  ? cuda::kStartBias
                           : cuda::kStartZero,
                   bias));
}

void TableDecoder::linear_backward(const Layer& layer, int64_t l, Linear which, float* dx,
                                   bool accumulate, const void* dy, const void* x) {
  const int64_t in = linear_in(config_, which), out = linear_out(config_, which);
  const int64_t r = adapter_.rank(l, which);
  const std::string a = lora_name(l, which, ".lora_A.weight"),
                    b = lora_name(l, which, ".lora_B.weight");
  const DeviceValues du(type_, rows_ * r);
  const GemmTerm up{dy, out, matrices_.at(b).data(), r, out, 0, 1};
  call(table_.gemm(nullptr, type_, type_, du.data(), r, rows_, r, &up, 1, cuda::kStartZero,
                   nullptr));
  const GemmTerm terms[2] = {
      {dy, out, matrices_.at(linear_name(l, which) + ".weight").data(), in, out, 0, 1},
      {du.data(), r, matrices_.at(a).data(), in, r, 0, 1}};
  call(table_.gemm(nullptr, type_, kF32, dx, in, rows_, in, terms, 2,
                   accumulate ? cuda::kStartAccumulate : cuda::kStartZero, nullptr));
  const std::string u = "u" + std::to_string(which);
  const GemmTerm to_b{dy, out, layer[u.c_str()].data(), r, rows_, 1, 1};
  call(table_.gemm(nullptr, type_, kF32, gradients_.at(b).data(), r, out, r, &to_b, 1,
                   cuda::kStartAccumulate, nullptr));
  call(table_.scale(nullptr, type_, du.data(), adapter_.scale(l, which), rows_ * r));
  const GemmTerm to_a{du.data(), r, x, in, rows_, 1, 1};
  call(table_.gemm(nullptr, type_, kF32, gradients_.at(a).data(), in, r, in, &to_a, 1,
                   cuda::kStartAccumulate, nullptr));
}

void TableDecoder::layer_forward(Layer& s, int64_t l, const cuda::AttentionPlan& plan,
                                 Cache* cache) {
  const int64_t h = config_.hidden, wide = int64_t(config_.heads) * config_.head_dim,
                narrow = int64_t(config_.kv_heads) * config_.head_dim;
  const std::string name = "model.layers." + std::to_string(l) + ".";
  const auto keep_x = [&](const char* as) {
    call(table_.copy(nullptr, make(s, as, kF32, rows_ * h), x_, rows_ * h * 4));
  };
  keep_x("x");
  void* n = make(s, "n1", type_, rows_ * h);
  norm(n, type_, s, "inv1", kF32, x_, name + "input_layernorm.weight", rows_, h);
  void *q = make(s, "q", type_, rows_ * wide), *k = make(s, "k", type_, rows_ * narrow),
       *v = make(s, "v", type_, rows_ * narrow);
  void* q_linear = config_.qk_norm ? make(s, "q_raw", type_, rows_ * wide) : q;
  void* k_linear = config_.qk_norm ? make(s, "k_raw", type_, rows_ * narrow) : k;
  linear(s, l, kQ, type_, q_linear, n);
  linear(s, l, kK, type_, k_linear, n);
  linear(s, l, kV, type_, v, n);
  if (config_.qk_norm) {
    norm(q, type_, s, "inv_q", type_, q_linear, name + "self_attn.q_norm.weight",
         rows_ * config_.heads, config_.head_dim);
    norm(k, type_, s, "inv_k", type_, k_linear, name + "self_attn.k_norm.weight",
         rows_ * config_.kv_heads, config_.head_dim);
  }
  rope(q, config_.heads, false);
  rope(k, config_.kv_heads, false);
  if (cache) {
    const DeviceArray<int32_t> slots(cache->row_slots);
    void *all_k = cache->k[size_t(l)].data(), *all_v = cache->v[size_t(l)].data();
    call(table_.move_rows(nullptr, type_, all_k, slots.data(), k, nullptr, rows_, narrow));
    call(table_.move_rows(nullptr, type_, all_v, slots.data(), v, nullptr, rows_, narrow));
    k = all_k;
    v = all_v;
  }
  void* attention = make(s, "attention", type_, rows_ * wide);
  auto* lse = static_cast<float*>(make(s, "lse", kF32, rows_ * config_.heads));
  call(table_.attention_forward(nullptr, type_, attention, lse, q, k, v, plan, heads()));
  linear(s, l, kO, kF32, x_, attention);

  keep_x("x_mid");
  n = make(s, "n2", type_, rows_ * h);
  norm(n, type_, s, "inv2", kF32, x_, name + "post_attention_layernorm.weight", rows_, h);
  const int64_t width = rows_ * config_.intermediate;
  void *gate = make(s, "gate", type_, width), *up = make(s, "up", type_, width),
       *m = make(s, "m", type_, width);
  linear(s, l, kGate, type_, gate, n);
  linear(s, l, kUp, type_, up, n);
  call(table_.swiglu_forward(nullptr, type_, m, gate, up, width));
  linear(s, l, kDown, kF32, x_, m);
}

std::vector<float> TableDecoder::logprobs(const Batch& batch, const std::vector<int32_t>& targets,
                                          Cache* cache) {
  const int64_t h = config_.hidden;
  rows_ = batch.rows();
  const cuda::HostAttentionPlan host = cuda::make_attention_plan(
      batch.segments.data(), cache ? cache->first_slots.data() : nullptr,
      int64_t(batch.segments.size()), {config_.heads, config_.kv_heads, config_.head_dim, 1});
  const DeviceArray<int32_t> words(host.words), ids(batch.ids);
  positions_.emplace(batch.positions);
  targets_.emplace(targets);
  layers_.clear();
  layers_.resize(size_t(config_.layers));
  x_ = make(final_, "x", kF32, rows_ * h);
  call(table_.embedding_forward(nullptr, type_, static_cast<float*>(x_), ids.data(),
                                matrices_.at("model.embed_tokens.weight").data(), rows_, h));
  for (int64_t l = 0; l < config_.layers; ++l)
    layer_forward(layers_[size_t(l)], l, host.on_device(words.data()), cache);
  norm(make(final_, "hidden", type_, rows_ * h), type_, final_, "inv", kF32, x_,
       "model.norm.weight", rows_, h);
  const DeviceArray<float> logprob(rows_), scratch(table_.head_scratch(rows_, config_.vocab));
  auto* lse = static_cast<float*>(make(final_, "lse", kF32, rows_));
  call(table_.head_forward(nullptr, type_, logprob.data(), nullptr, lse, nullptr, head_input(rows_),
                           scratch.data()));
  return logprob.host();
}

void TableDecoder::layer_backward(Layer& s, int64_t l, const cuda::AttentionPlan& plan, float* dx) {
  const int64_t h = config_.hidden, wide = int64_t(config_.heads) * config_.head_dim,
                narrow = int64_t(config_.kv_heads) * config_.head_dim, width = config_.intermediate;
  const std::string name = "model.layers." + std::to_string(l) + ".";
  const auto as_type = [&](const void* from, int64_t n) {
    DeviceValues out(type_, n);
    call(table_.convert(nullptr, type_, out.data(), kF32, from, n));
    return out;
  };
  const auto norm_backward = [&](DataType dx_type, void* to, DataType dy_type, const void* dy,
                                 const char* x, DataType x_type, const char* inv,
                                 const std::string& weight, int64_t rows, int64_t columns,
                                 bool accumulate) {
    call(table_.rmsnorm_backward(nullptr, dx_type, to, nullptr, dy_type, dy, x_type, s[x].data(),
                                 vector(name + weight), static_cast<float*>(s[inv].data()), rows,
                                 columns, accumulate));
  };
  const DeviceArray<float> dn(rows_ * h), dm(rows_ * width), dattention(rows_ * wide);

  DeviceValues dy = as_type(dx, rows_ * h);
  linear_backward(s, l, kDown, dm.data(), false, dy.data(), s["m"].data());
  const DeviceValues dm_typed = as_type(dm.data(), rows_ * width), dgate(type_, rows_ * width),
                     dup(type_, rows_ * width);
  call(table_.swiglu_backward(nullptr, type_, dgate.data(), dup.data(), dm_typed.data(),
                              s["gate"].data(), s["up"].data(), rows_ * width));
  linear_backward(s, l, kGate, dn.data(), false, dgate.data(), s["n2"].data());
  linear_backward(s, l, kUp, dn.data(), true, dup.data(), s["n2"].data());
  norm_backward(kF32, dx, kF32, dn.data(), "x_mid", kF32, "inv2", "post_attention_layernorm.weight",
                rows_, h, true);

  const DeviceValues dy_mid = as_type(dx, rows_ * h);
  linear_backward(s, l, kO, dattention.data(), false, dy_mid.data(), s["attention"].data());
  const DeviceValues dout = as_type(dattention.data(), rows_ * wide), dq(type_, rows_ * wide),
                     dk(type_, rows_ * narrow), dv(type_, rows_ * narrow),
                     dq_raw(type_, rows_ * wide), dk_raw(type_, rows_ * narrow);
  const DeviceArray<float> delta(rows_ * config_.heads);
  call(table_.attention_backward(nullptr, type_, dq.data(), dk.data(), dv.data(), delta.data(),
                                 dout.data(), s["attention"].data(),
                                 static_cast<float*>(s["lse"].data()), s["q"].data(), s["k"].data(),
                                 s["v"].data(), plan, heads(), rows_));
  rope(dq.data(), config_.heads, true);
  rope(dk.data(), config_.kv_heads, true);
  const DeviceValues *last_q = &dq, *last_k = &dk;
  if (config_.qk_norm) {
    norm_backward(type_, dq_raw.data(), type_, dq.data(), "q_raw", type_, "inv_q",
                  "self_attn.q_norm.weight", rows_ * config_.heads, config_.head_dim, false);
    norm_backward(type_, dk_raw.data(), type_, dk.data(), "k_raw", type_, "inv_k",
                  "self_attn.k_norm.weight", rows_ * config_.kv_heads, config_.head_dim, false);
    last_q = &dq_raw;
    last_k = &dk_raw;
  }
  linear_backward(s, l, kQ, dn.data(), false, last_q->data(), s["n1"].data());
  linear_backward(s, l, kK, dn.data(), true, last_k->data(), s["n1"].data());
  linear_backward(s, l, kV, dn.data(), true, dv.data(), s["n1"].data());
  norm_backward(kF32, dx, kF32, dn.data(), "x", kF32, "inv1", "input_layernorm.weight", rows_, h,
                true);
}

void TableDecoder::backward(const Batch& batch, const std::vector<float>& weights) {
  const int64_t h = config_.hidden, chunk = 64;
  const cuda::HostAttentionPlan host =
      cuda::make_attention_plan(batch.segments.data(), nullptr, int64_t(batch.segments.size()),
                                {config_.heads, config_.kv_heads, config_.head_dim, 1});
  const DeviceArray<int32_t> words(host.words);
  const DeviceArray<float> dlogprob(weights), dhidden(rows_ * h), dx(rows_ * h);
  const DeviceValues dz(type_, rows_ * chunk);
  call(table_.head_backward(nullptr, type_, dhidden.data(), nullptr, dlogprob.data(), nullptr,
                            static_cast<float*>(final_["lse"].data()), nullptr, head_input(rows_),
                            dz.data(), chunk));
  call(table_.rmsnorm_backward(nullptr, kF32, dx.data(), nullptr, kF32, dhidden.data(), kF32, x_,
                               vector("model.norm.weight"),
                               static_cast<float*>(final_["inv"].data()), rows_, h, 0));
  for (int64_t l = config_.layers; l-- > 0;)
    layer_backward(layers_[size_t(l)], l, host.on_device(words.data()), dx.data());
}

}  // namespace reasonrec::test
