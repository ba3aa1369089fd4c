// Weights from files, or drawn at random.
//
// A matrix goes from the mapped file to its panels in strips of one panel, each strip widened to
// fp32, checked and packed by one thread, so nothing of a matrix's size is held beside the panels.
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

// bf16 where that loses nothing.
WeightType resolved(WeightType wanted, const ParameterLayout& layout,
                    const std::vector<const StoredTensor*>& tensors) {
  if (wanted != WeightType::kAuto) return wanted;
  for (size_t e = 0; e < tensors.size(); ++e)
    if (layout.entries[e].decay && tensors[e]->view.dtype != DType::kBF16) return WeightType::kF32;
  return WeightType::kBF16;
}

// bf16 rows in the order of the checkpoint need no widening: they are packed as they lie. False
// where a value is not finite.
bool pack_as_stored(const Context& context, PanelStore& store, size_t index,
                    const StoredTensor& tensor, const Parameter& p) {
  const int64_t panel = context.kernels->panel, at_once = std::max<int64_t>(panel, 64);
  const char* rows = static_cast<const char*>(tensor.view.data);
  std::atomic<bool> finite{true};
  for_each_task(context, (p.rows + at_once - 1) / at_once, [&](int64_t task, int) {
    const int64_t first = task * at_once, count = std::min(at_once, p.rows - first);
    if (!store.pack_stored(index, rows + first * p.cols * 2, first, count)) finite = false;
  });
  return finite;
}

// Threads of the context, each with a buffer of its own.
class Strips {
 public:
  explicit Strips(const Context& context)
      : context_(context), buffers_(size_t(context.pool ? context.pool->size() : 1)) {}

  // use(serial context, values, first row, rows) for strips of `height` rows; counts bad values.
  template <class Use>
  void each(const StoredTensor& tensor, const Parameter& p, int64_t height, float largest,
            Use&& use) {
    std::atomic<int64_t> bad{0};
    for (Buffer& b : buffers_) b.resize(height * p.cols, false);
    for_each_task(context_, (p.rows + height - 1) / height, [&](int64_t task, int worker) {
      const int64_t first = task * height, count = std::min(height, p.rows - first);
      float* values = buffers_[size_t(worker)].data();
      tensor.rows(values, first, count);
      bad += count_bad(values, count * p.cols, largest);
      const Context serial{context_.kernels, nullptr, nullptr, nullptr};
      use(serial, values, first, count);
    });
    require_finite(p, bad);
  }

 private:
  const Context& context_;
  std::vector<Buffer> buffers_;
};

}  // namespace

std::unique_ptr<Model> Model::load(const Context& context, const ModelConfig& given,
                                   const std::vector<std::string>& paths, WeightType wanted,
                                   const Job& job) {
  const WeightFiles files(given, paths);
  ModelConfig config = given;
  config.rope_scaling.divisors = files.rope_divisors();
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(context, config);
  Impl& m = *model->impl_;
  const std::vector<const StoredTensor*> tensors = match(config, m.layout, files);
  m.allocate(context, resolved(wanted, m.layout, tensors));
  const bool half = m.type == WeightType::kBF16;
  const float largest = half ? kLargestBfloat16 : FLT_MAX;
  Strips strips(context);
  job.total(int32_t(tensors.size()));
  for (size_t e = 0; e < tensors.size(); ++e) {
    job.poll();
    const Parameter& p = m.layout.entries[e];
    if (is_vector(m.slots[e].role)) {
      float* to = const_cast<float*>(m.vector_of(m.slots[e]));  // our own `vectors`
      tensors[e]->vector(to);
      require_finite(p, count_bad(to, p.size(), FLT_MAX));
    } else if (m.packed(e)) {
      const size_t index = m.panel_index(m.slots[e]);
      const bool as_stored =
          half && tensors[e]->view.dtype == DType::kBF16 && tensors[e]->interleaved == 0;
      // What is refused there is counted here.
      if (!as_stored || !pack_as_stored(context, m.forward, index, *tensors[e], p))
        strips.each(*tensors[e], p, context.kernels->panel, largest,
                    [&](const Context& serial, const float* w, int64_t first, int64_t count) {
                      m.forward.pack(serial, index, w, 1, p.cols, first, count);
                    });
    } else {
      float* rows = m.rows.data();
      strips.each(*tensors[e], p, 32, largest,
                  [&](const Context&, const float* w, int64_t first, int64_t count) {
                    const int64_t n = count * p.cols;
                    uint16_t* bf16 = reinterpret_cast<uint16_t*>(rows) + first * p.cols;
                    if (half)
                      std::transform(w, w + n, bf16, to_bfloat16);
                    else
                      std::copy(w, w + n, rows + first * p.cols);
                  });
    }
    release_pages(tensors[e]->view.data, tensors[e]->view.bytes());
    job.advance(1);
  }
  return model;
}

std::unique_ptr<Model> Model::random(const Context& context, const ModelConfig& config,
                                     uint64_t seed, float deviation, WeightType type) {
  std::unique_ptr<Model> model(new Model);
  model->impl_ = std::make_unique<Impl>(context, config);
  Impl& m = *model->impl_;
  m.allocate(context, type == WeightType::kAuto ? WeightType::kF32 : type);
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
