// Kernels by name: what each needs beforehand, and the call.
#include "binding/kernel_calls.h"

#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

using Run = std::function<void()>;
using Prepare = Run (*)(const Context&, KernelCall&);

// w (n, k) row-major as the right-hand operand (k, n).
std::shared_ptr<PanelStore> packed(const Context& ctx, const KernelCall& call, const float* w,
                                   int64_t k, int64_t n, bool transposed = false) {
  auto store = std::make_shared<PanelStore>();
  const size_t matrix = transposed ? store->add(n, k) : store->add(k, n);
  store->allocate(*ctx.kernels, call.storage, call.compute);
  if (transposed)
    store->pack(ctx, matrix, w, k, 1);
  else
    store->pack(ctx, matrix, w, 1, k);
  return store;
}

Run gemm(const Context& ctx, KernelCall& call) {
  const int64_t m = call.size("m"), n = call.size("n"), k = call.size("k");
  const float* a = call.input(0, m * k);
  const auto w = packed(ctx, call, call.input(1, n * k), k, n);
  float* c = call.output(m * n);
  return [=, &ctx] {
    const GemmTerm term{a, k, 1, w->at(0), k};
    ctx.kernels->gemm(ctx, c, n, m, n, &term, 1, GemmStart::kZero, nullptr);
  };
}

template <bool fused>
Run gemm_lora(const Context& ctx, KernelCall& call) {
  const int64_t m = call.size("m"), n = call.size("n"), k = call.size("k"), r = call.size("r");
  const float *a = call.input(0, m * k), *xa = call.input(2, m * r);
  const auto w = packed(ctx, call, call.input(1, n * k), k, n);
  const auto b = packed(ctx, {}, call.input(3, n * r), r, n);
  float* c = call.output(m * n);
  return [=, &ctx] {
    const GemmTerm terms[] = {{a, k, 1, w->at(0), k}, {xa, r, 1, b->at(0), r}};
    ctx.kernels->gemm(ctx, c, n, m, n, terms, fused ? 2 : 1, GemmStart::kZero, nullptr);
    if (!fused) ctx.kernels->gemm(ctx, c, n, m, n, terms + 1, 1, GemmStart::kAccumulate, nullptr);
  };
}

Run pack(const Context& ctx, KernelCall& call) {
  const int64_t n = call.size("n"), k = call.size("k");
  const float* w = call.input(0, n * k);
  const auto store = packed(ctx, call, w, k, n);
  return [=, &ctx] { store->pack(ctx, 0, w, 1, k); };
}

Run rmsnorm(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const float *x = call.input(0, t * h), *w = call.input(1, h);
  float* y = call.output(t * h);
  return [=, &ctx] { ctx.kernels->rmsnorm_forward(ctx, y, nullptr, x, w, t, h, 1e-6f); };
}

Run rmsnorm_backward(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const float *dy = call.input(0, t * h), *x = call.input(1, t * h), *w = call.input(2, h);
  float* dx = call.output(t * h);
  const auto inv_rms = std::make_shared<std::vector<float>>(size_t(t)),
             y = std::make_shared<std::vector<float>>(size_t(t * h));
  ctx.kernels->rmsnorm_forward(ctx, y->data(), inv_rms->data(), x, w, t, h, 1e-6f);
  return [=, &ctx] {
    ctx.kernels->rmsnorm_backward(ctx, dx, nullptr, dy, x, w, inv_rms->data(), t, h, false);
  };
}

Run layernorm(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const float *x = call.input(0, t * h), *w = call.input(1, h), *b = call.input(2, h);
  float* y = call.output(t * h);
  return
      [=, &ctx] { ctx.kernels->layernorm_forward(ctx, y, nullptr, nullptr, x, w, b, t, h, 1e-6f); };
}

Run relu(const Context& ctx, KernelCall& call) {
  const int64_t n = call.size("t") * call.size("h");
  const float* x = call.input(0, n);
  float* y = call.output(n);
  return [=, &ctx] { ctx.kernels->relu_forward(ctx, y, x, n); };
}

Run rope(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t");
  const int heads = int(call.size("heads")), d = int(call.size("d"));
  const float* x = call.input(0, t * heads * d);
  float* y = call.output(t * heads * d);
  std::copy_n(x, t * heads * d, y);
  const auto positions = std::make_shared<std::vector<int32_t>>();
  const auto cos = std::make_shared<std::vector<float>>(),
             sin = std::make_shared<std::vector<float>>();
  for (int64_t p = 0; p < t; ++p) {
    positions->push_back(int32_t(p));
    for (int j = 0; j < d / 2; ++j) {
      const double angle = double(p) * std::pow(10000.0, -2.0 * j / d);
      cos->push_back(float(std::cos(angle)));
      sin->push_back(float(std::sin(angle)));
    }
  }
  return [=, &ctx] {
    ctx.kernels->rope(ctx, y, positions->data(), cos->data(), sin->data(), t, heads, d, false);
  };
}

Run swiglu(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const float *gate = call.input(0, t * h), *up = call.input(1, t * h);
  float* y = call.output(t * h);
  return [=, &ctx] { ctx.kernels->swiglu_forward(ctx, y, gate, up, t, h); };
}

Run swiglu_backward(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const float *dy = call.input(0, t * h), *gate = call.input(1, t * h), *up = call.input(2, t * h);
  float *dgate = call.output(t * h), *dup = call.output(t * h);
  return [=, &ctx] { ctx.kernels->swiglu_backward(ctx, dgate, dup, dy, gate, up, t, h); };
}

Run add(const Context& ctx, KernelCall& call) {
  const int64_t n = call.size("t") * call.size("h");
  const float *start = call.input(0, n), *x = call.input(1, n);
  float* y = call.output(n);
  std::copy_n(start, n, y);
  return [=, &ctx] { ctx.kernels->add(ctx, y, x, n); };
}

std::shared_ptr<std::vector<int32_t>> ids_of(const float* values, int64_t n) {
  return std::make_shared<std::vector<int32_t>>(values, values + n);
}

Run embedding(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h");
  const Table table{call.input(0, call.size("v") * h), nullptr, {}};
  const auto ids = ids_of(call.input(1, t), t);
  float* y = call.output(t * h);
  return [=, &ctx] { ctx.kernels->embedding_forward(ctx, y, ids->data(), table, t, h); };
}

// A prompt and the rows that follow it, either once with children or once per child.
struct Tree {
  AttentionShape shape;
  std::vector<Segment> segments;
  std::vector<int64_t> source;  // of every row, in the rows given
  int64_t prompt, group, rows;  // rows: of each child

  Tree(const KernelCall& call, bool shared)
      : prompt(call.size("prompt")), group(call.size("group")), rows(call.size("rows")) {
    shape = {int(call.size("heads")), int(call.size("kvHeads")), int(call.size("d")), 0};
    shape.scale = 1 / std::sqrt(float(shape.head_dim));
    if (shared) add(-1, prompt, 0);
    for (int64_t child = 0; child < group; ++child) {
      if (!shared) add(-1, prompt + rows, 0, child);
      if (shared) add(0, rows, prompt + child * rows);
    }
  }
  int64_t total() const { return int64_t(source.size()); }
  int64_t given() const { return prompt + group * rows; }
  int64_t wide() const { return int64_t(shape.heads) * shape.head_dim; }
  int64_t narrow() const { return int64_t(shape.kv_heads) * shape.head_dim; }

  std::vector<float> spread(const float* values, int64_t width) const {
    std::vector<float> out(size_t(total() * width));
    for (int64_t row = 0; row < total(); ++row)
      std::copy_n(values + source[size_t(row)] * width, width, out.begin() + row * width);
    return out;
  }
  // Of the children's rows.
  void gather(float* out, const float* values) const {
    for (int64_t row = 0; row < total(); ++row)
      if (source[size_t(row)] >= prompt)
        std::copy_n(values + row * wide(), wide(), out + (source[size_t(row)] - prompt) * wide());
  }

 private:
  void add(int32_t parent, int64_t count, int64_t first, int64_t child = 0) {
    segments.push_back({parent, total(), count, 0});
    for (int64_t i = 0; i < count; ++i)
      source.push_back(parent < 0 && i >= prompt ? prompt + child * rows + i - prompt : first + i);
  }
};

// Attention's arrays, and the blocks that hold its keys.
struct AttentionCall {
  Tree tree;
  std::vector<float> q, k, v, out, lse, dout, dq, dk, dv;
  std::vector<Buffer> memory;
  std::vector<KvBlock> blocks;

  AttentionCall(const Context& ctx, const KernelCall& call, bool shared) : tree(call, shared) {
    q = tree.spread(call.input(0, tree.given() * tree.wide()), tree.wide());
    k = tree.spread(call.input(1, tree.given() * tree.narrow()), tree.narrow());
    v = tree.spread(call.input(2, tree.given() * tree.narrow()), tree.narrow());
    out.resize(q.size());
    lse.resize(size_t(tree.total() * tree.shape.heads));
    const int64_t panel = ctx.kernels->panel, d = tree.shape.head_dim;
    for (const Segment& segment : tree.segments) {
      const int64_t capacity = (segment.rows + panel - 1) / panel * panel;
      memory.emplace_back(tree.shape.kv_heads * capacity * d);
      memory.emplace_back(tree.shape.kv_heads * capacity * ((d + panel - 1) / panel * panel));
      blocks.push_back({memory[memory.size() - 2].data(), memory.back().data(), capacity});
    }
  }
  void forward(const Context& ctx) {
    const int64_t count = int64_t(blocks.size());
    ctx.kernels->kv_append(ctx, blocks.data(), tree.segments.data(), count, k.data(), v.data(),
                           tree.shape);
    ctx.kernels->attention_forward(ctx, out.data(), lse.data(), q.data(), blocks.data(),
                                   tree.segments.data(), count, tree.shape);
  }
};

template <bool shared>
Run attention(const Context& ctx, KernelCall& call) {
  const auto state = std::make_shared<AttentionCall>(ctx, call, shared);
  float* out = call.output(state->tree.group * state->tree.rows * state->tree.wide());
  return [=, &ctx] {
    state->forward(ctx);
    state->tree.gather(out, state->out.data());
  };
}

template <bool shared>
Run attention_backward(const Context& ctx, KernelCall& call) {
  const auto state = std::make_shared<AttentionCall>(ctx, call, shared);
  AttentionCall& s = *state;
  s.dout = s.tree.spread(call.input(3, s.tree.given() * s.tree.wide()), s.tree.wide());
  for (int64_t row = 0; row < s.tree.total(); ++row)  // only the children carry a loss
    if (s.tree.source[size_t(row)] < s.tree.prompt)
      std::fill_n(s.dout.begin() + row * s.tree.wide(), s.tree.wide(), 0.0f);
  s.dq.resize(s.q.size());
  s.dk.resize(s.k.size());
  s.dv.resize(s.v.size());
  s.forward(ctx);
  float* out = call.output(s.tree.group * s.tree.rows * s.tree.wide());
  return [=, &ctx] {
    AttentionCall& a = *state;
    ctx.kernels->attention_backward(ctx, a.dq.data(), a.dk.data(), a.dv.data(), a.dout.data(),
                                    a.out.data(), a.lse.data(), a.q.data(), a.k.data(), a.v.data(),
                                    a.tree.segments.data(), int64_t(a.tree.segments.size()),
                                    a.tree.shape);
    a.tree.gather(out, a.dq.data());
  };
}

template <bool whole>
Run head(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h"), v = call.size("v");
  const float* hidden = call.input(0, t * h);
  const auto weight = packed(ctx, call, call.input(1, v * h), h, v);
  const auto targets = ids_of(call.input(2, t), t);
  for (int i = 0; i < 3; ++i) call.output(t);
  float *logprob = call.outputs[0].data(), *lse = call.outputs[1].data(),
        *entropy = call.outputs[2].data();
  const auto logits = std::make_shared<std::vector<float>>(size_t(whole ? t * v : 0));
  return [=, &ctx] {
    ctx.kernels->head_forward(ctx, logprob, entropy, lse, whole ? logits->data() : nullptr, hidden,
                              weight->at(0), targets->data(), {}, 1, t, h, v);
  };
}

Run head_backward(const Context& ctx, KernelCall& call) {
  const int64_t t = call.size("t"), h = call.size("h"), v = call.size("v");
  const float* hidden = call.input(0, t * h);
  const auto weight = packed(ctx, call, call.input(1, v * h), h, v);
  const auto turned = packed(ctx, call, call.input(1, v * h), h, v, true);
  const auto targets = ids_of(call.input(2, t), t);
  const float* dlogprob = call.input(3, t);
  const auto kept = std::make_shared<std::vector<float>>(size_t(3 * t));
  float* dhidden = call.output(t * h);
  ctx.kernels->head_forward(ctx, kept->data(), kept->data() + t, kept->data() + 2 * t, nullptr,
                            hidden, weight->at(0), targets->data(), {}, 1, t, h, v);
  return [=, &ctx] {
    ctx.kernels->head_backward(ctx, dhidden, nullptr, dlogprob, nullptr, hidden,
                               kept->data() + 2 * t, kept->data() + t, weight->at(0), turned->at(0),
                               targets->data(), {}, 1, t, h, v);
  };
}

Run sum_of_squares(const Context& ctx, KernelCall& call) {
  const int64_t n = call.size("t") * call.size("h");
  const float* x = call.input(0, n);
  float* sum = call.output(1);
  return [=, &ctx] { *sum = float(ctx.kernels->sum_of_squares(ctx, x, n)); };
}

Run adamw(const Context& ctx, KernelCall& call) {
  const int64_t n = call.size("t") * call.size("h");
  const float *start = call.input(0, n), *g = call.input(1, n);
  float* w = call.output(n);
  std::copy_n(start, n, w);
  const auto m = std::make_shared<std::vector<float>>(size_t(n)),
             v = std::make_shared<std::vector<float>>(size_t(n));
  return [=, &ctx, step = int64_t(0)]() mutable {
    ctx.kernels->adamw(ctx, w, m->data(), v->data(), g, n, 1e-3f, 0.9f, 0.999f, 1e-8f, 0.01f, 1,
                       ++step);
  };
}

const std::map<std::string, Prepare>& kernel_names() {
  static const std::map<std::string, Prepare> all{
      {"gemm", gemm},
      {"gemm_lora", gemm_lora<true>},
      {"gemm_lora_composed", gemm_lora<false>},
      {"pack", pack},
      {"rmsnorm", rmsnorm},
      {"rmsnorm_backward", rmsnorm_backward},
      {"layernorm", layernorm},
      {"relu", relu},
      {"rope", rope},
      {"swiglu", swiglu},
      {"swiglu_backward", swiglu_backward},
      {"add", add},
      {"embedding", embedding},
      {"attention", attention<true>},
      {"attention_unshared", attention<false>},
      {"attention_backward", attention_backward<true>},
      {"attention_backward_unshared", attention_backward<false>},
      {"head", head<false>},
      {"head_logits", head<true>},
      {"head_backward", head_backward},
      {"sum_of_squares", sum_of_squares},
      {"adamw", adamw},
  };
  return all;
}

}  // namespace

int64_t KernelCall::size(const char* name) const {
  const auto found = sizes.find(name);
  check(found != sizes.end() && found->second > 0, "RR_BAD_ARGUMENT",
        kernel + " needs the size " + name, "a positive number");
  return found->second;
}

const float* KernelCall::input(size_t index, int64_t n) const {
  const int64_t got = index < inputs.size() ? int64_t(inputs[index].size()) : 0;
  check(got == n, "RR_SHAPE_MISMATCH", "input " + std::to_string(index) + " of " + kernel,
        std::to_string(n) + " values", std::to_string(got));
  return inputs[index].data();
}

float* KernelCall::output(int64_t n) {
  outputs.emplace_back(size_t(n));
  return outputs.back().data();
}

std::function<void()> prepare_kernel(const Context& ctx, KernelCall& call) {
  const auto found = kernel_names().find(call.kernel);
  std::string names;
  for (const auto& [name, run] : kernel_names()) names += (names.empty() ? "" : ", ") + name;
  check(found != kernel_names().end(), "RR_BAD_ARGUMENT", "there is no such kernel", names,
        call.kernel);
  call.outputs.reserve(4);
  return found->second(ctx, call);
}

}  // namespace reasonrec
