// Weights from files, or drawn at random.
//
// bf16 matrices are checked and left where they lie until their second use. Others go from the
// mapped file to their panels in strips of one panel, each strip widened to fp32, checked and
// packed by one thread, so nothing of a matrix's size is held beside the panels.
#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <numbers>

#include "core/bfloat16.h"
#include "core/check.h"
#include "core/mapped_file.h"
#include "core/philox.h"
#include "model/weight_files.h"
#include "model/weights_impl.h"

namespace reasonrec {

namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t n : shape) out += (out.empty() ? "" : ", ") + std::to_string(n);
  return "[" + out + "]";
}

// The tensors of the layout, in its order; anything missing, left over or of another shape is
// refused.
std::vector<const StoredTensor*> match(const ModelConfig& config, const ParameterLayout& layout,
                                       const WeightFiles& files) {
  std::map<std::string, const StoredTensor*> left;
  for (const auto& [name, tensor] : files.tensors()) left.emplace(name, &tensor);
  std::vector<const StoredTensor*> out;
  for (const Parameter& p : layout.entries) {
    const std::vector<int64_t> shape =
        p.decay ? std::vector<int64_t>{p.rows, p.cols} : std::vector<int64_t>{p.cols};
    const auto found = left.find(p.name);
    check(found != left.end(), "RR_MISSING_TENSOR", "the weight files do not hold " + p.name,
          shape_text(shape), "nothing",
          "a shard is missing, or config.json belongs to another model");
    check(found->second->view.shape == shape, "RR_SHAPE_MISMATCH", "shape of " + p.name,
          shape_text(shape), shape_text(found->second->view.shape),
          "config.json belongs to another model");
    out.push_back(found->second);
    left.erase(found);
  }
  for (const auto& [name, tensor] : left) {
    const bool harmless = name.find("rotary_emb.inv_freq") != std::string::npos ||
                          (config.tied_head && name == "lm_head.weight");
    check(harmless, "RR_UNEXPECTED_TENSOR",
          "the weight files hold " + name + ", which a " + config.family + " decoder has not", "",
          shape_text(tensor->view.shape),
          "config.json belongs to another model, or its architecture is not supported");
  }
  return out;
}

// Counts what cannot be held: NaN, infinity, and in bf16 what would round to infinity.
int64_t count_bad(const float* values, int64_t n, float largest) {
  int64_t bad = 0;
  for (int64_t i = 0; i < n; ++i) bad += !(std::fabs(values[i]) <= largest);
  return bad;
}

void require_finite(const Parameter& p, int64_t bad) {
  check(bad == 0, "RR_NON_FINITE_WEIGHTS", p.name + " holds values that are not finite",
        "finite weights", std::to_string(bad) + " NaN or infinite of " + std::to_string(p.size()),
        "export or download the model again");
}

void require_storage(const ModelConfig& config, WeightType type) {
  check(config.compute == Compute::kF32 || type != WeightType::kF32, "RR_BAD_ARGUMENT",
        "products in bf16 need weights held in bf16", "dtype auto or bf16", "fp32",
        "set model.dtype to auto, or model.compute to fp32");
}

// bf16 where that loses nothing, and for products in bf16.
WeightType resolved(const ModelConfig& config, WeightType wanted, const ParameterLayout& layout,
                    const std::vector<const StoredTensor*>& tensors) {
  require_storage(config, wanted);
  if (wanted != WeightType::kAuto) return wanted;
  if (config.compute == Compute::kBF16) return WeightType::kBF16;
  for (size_t e = 0; e < tensors.size(); ++e)
    if (layout.entries[e].decay && tensors[e]->view.dtype != DType::kBF16) return WeightType::kF32;
  return WeightType::kBF16;
}

// bf16 rows (n, k) in the order of the checkpoint, else null.
const uint16_t* stored_rows(const StoredTensor& tensor) {
  const bool even = reinterpret_cast<uintptr_t>(tensor.view.data) % alignof(uint16_t) == 0;
  if (tensor.view.dtype != DType::kBF16 || tensor.interleaved != 0 || !even) return nullptr;
  return static_cast<const uint16_t*>(tensor.view.data);
}

// NaN or infinite among bf16 values: exponents of all ones carry into the sign's place when one is
// added. Those are counted only where there are any.
int64_t count_bad(const Context& context, const uint16_t* values, int64_t n) {
  constexpr int64_t kAtOnce = 1 << 20;
  std::atomic<int64_t> bad{0};
  for_each_task(context, (n + kAtOnce - 1) / kAtOnce, [&](int64_t task, int) {
    const int64_t end = std::min(n, (task + 1) * kAtOnce);
    uint16_t carried = 0;
    for (int64_t i = task * kAtOnce; i < end; ++i)
      carried |= uint16_t((values[i] & 0x7F80u) + 0x0080u);
    if (!(carried & 0x8000u)) return;
    for (int64_t i = task * kAtOnce; i < end; ++i) bad += (values[i] & 0x7F80u) == 0x7F80u;
  });
  return bad;
}

// Threads of the context, each with a buffer of its own.
class Strips {
 public:
  Strips(const Context& context, float largest)
      : context_(context),
        largest_(largest),
        buffers_(size_t(context.pool ? context.pool->size() : 1)) {}

  // use(serial context, values, first row, rows) for strips of `height` rows; counts bad values.
  template <class Use>
  void each(const StoredTensor& tensor, const Parameter& p, int64_t height, Use&& use) {
    std::atomic<int64_t> bad{0};
    for (Buffer& b : buffers_) b.resize(height * p.cols, false);
    for_each_task(context_, (p.rows + height - 1) / height, [&](int64_t task, int worker) {
      const int64_t first = task * height, count = std::min(height, p.rows - first);
      float* values = buffers_[size_t(worker)].data();
      tensor.rows(values, first, count);
      bad += count_bad(values, count * p.cols, largest_);
      const Context serial{context_.kernels, nullptr, nullptr, nullptr};
      use(serial, values, first, count);
    });
    require_finite(p, bad);
  }

 private:
  const Context& context_;
  const float largest_;
  std::vector<Buffer> buffers_;
};

}  // namespace

std::unique_ptr<Model> Model::load(const Context& context, const ModelConfig& given,
                                   const std::vector<std::string>& paths, WeightType wanted,
                                   const Job& job) {
  auto files = std::make_unique<WeightFiles>(given, paths);
  ModelConfig config = given;
  config.rope_scaling.divisors = files->rope_divisors();
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(config);
  Impl& m = *model->impl_;
  const std::vector<const StoredTensor*> tensors = match(config, m.layout, *files);
  m.type = resolved(config, wanted, m.layout, tensors);
  m.allocate_vectors();
  m.extend_rope(context, 1);
  job.total(int32_t(tensors.size()));
  bool as_stored = true;
  for (size_t e = 0; e < tensors.size(); ++e) {
    const Parameter& p = m.layout.entries[e];
    if (!is_vector(m.slots[e].role)) {
      as_stored &= stored_rows(*tensors[e]) != nullptr;
      continue;
    }
    float* to = const_cast<float*>(m.vector_of(m.slots[e]));  // our own `vectors`
    tensors[e]->vector(to);
    require_finite(p, count_bad(to, p.size(), FLT_MAX));
    job.advance(1);
  }
  if (!as_stored) {
    m.pack_matrices(context, *files, false, job);
    return model;
  }
  m.borrowed = std::move(files);
  m.borrow_matrices(context, job);
  return model;
}

void Model::Impl::borrow_matrices(const Context& context, const Job& job) {
  const std::vector<const StoredTensor*> tensors = match(config, layout, *borrowed);
  for (size_t e = 0; e < tensors.size(); ++e) {
    if (is_vector(slots[e].role)) continue;
    job.poll();
    const uint16_t* rows = stored_rows(*tensors[e]);
    require_finite(layout.entries[e], count_bad(context, rows, layout.entries[e].size()));
    if (packed(e))
      forward.borrow(*context.kernels, panel_index(slots[e]), rows, config.compute);
    else
      embedding = {nullptr, rows, {}};
    job.advance(1);
  }
  bind_panels();
  if (config.tied_head) embedding = {nullptr, nullptr, head};
}

// checked: every value is known to be finite.
void Model::Impl::pack_matrices(const Context& context, const WeightFiles& files, bool checked,
                                const Job& job) {
  const std::vector<const StoredTensor*> tensors = match(config, layout, files);
  const bool half = type == WeightType::kBF16;
  allocate(context);
  Strips strips(context, half ? kLargestBfloat16 : FLT_MAX);
  for (size_t e = 0; e < tensors.size(); ++e) {
    if (is_vector(slots[e].role)) continue;
    job.poll();
    const Parameter& p = layout.entries[e];
    const uint16_t* stored = half ? stored_rows(*tensors[e]) : nullptr;
    if (stored && !checked) require_finite(p, count_bad(context, stored, p.size()));
    const size_t index = packed(e) ? panel_index(slots[e]) : 0;
    if (stored && packed(e)) {
      forward.pack_rows(context, index, stored);
    } else if (packed(e)) {
      strips.each(*tensors[e], p, context.kernels->panel,
                  [&](const Context& serial, const float* w, int64_t first, int64_t count) {
                    forward.pack(serial, index, w, 1, p.cols, first, count);
                  });
    } else {
      strips.each(
          *tensors[e], p, 32, [&](const Context&, const float* w, int64_t first, int64_t count) {
            const int64_t at = first * p.cols, n = count * p.cols;
            if (half)
              std::transform(w, w + n, reinterpret_cast<uint16_t*>(rows.data()) + at, to_bfloat16);
            else
              std::copy(w, w + n, rows.data() + at);
          });
    }
    release_pages(tensors[e]->view.data, tensors[e]->view.bytes());
    if (!checked) job.advance(1);
  }
}

void Model::Impl::pack_borrowed(const Context& context) {
  if (!borrowed) return;
  const std::unique_ptr<WeightFiles> files = std::move(borrowed);
  pack_matrices(context, *files, true, {});
}

std::unique_ptr<Model> Model::random(const Context& context, const ModelConfig& config,
                                     uint64_t seed, float deviation, WeightType type) {
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(config);
  Impl& m = *model->impl_;
  const bool half = config.compute == Compute::kBF16;
  require_storage(config, type);
  m.type = type != WeightType::kAuto ? type : half ? WeightType::kBF16 : WeightType::kF32;
  m.allocate_vectors();
  m.extend_rope(context, 1);
  m.allocate(context);
  Buffer weight;
  for (size_t e = 0; e < m.slots.size(); ++e) {
    const int64_t n = m.layout.entries[e].size();
    const Slot& slot = m.slots[e];
    if (is_vector(slot.role)) {
      std::fill_n(const_cast<float*>(m.vector_of(slot)), n, slot.role == Role::kBias ? 0.0f : 1.0f);
      continue;
    }
    weight.resize(n, false);
    for (int64_t i = 0; i < n; i += 2) {  // Box-Muller: two normals from two uniforms
      const double radius = std::sqrt(-2 * std::log(philox_uniform(seed, e, uint64_t(i))));
      const double angle = 2 * std::numbers::pi * philox_uniform(seed, e, uint64_t(i) + 1);
      weight[i] = float(deviation * radius * std::cos(angle));
      if (i + 1 < n) weight[i + 1] = float(deviation * radius * std::sin(angle));
    }
    m.store(context, e, weight.data());
  }
  return model;
}

}  // namespace reasonrec
