// The trainer's state between calls, and the end of a step: merge the tied head's gradient, update,
// pack again, forget.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "rl/policy_step.h"
#include "train/sft_step.h"
#include "train/training_pass.h"

namespace reasonrec {

struct Trainer::Impl {
  TrainingPass pass;
  AdamW optimiser;
  const ParameterLayout& layout() const {
    return pass.adapter ? pass.adapter->layout() : pass.model.layout();
  }

  // Adds the head's own sum to the embedding's, once.
  void merge_head_gradient() {
    if (pass.head_gradient.size() == 0) return;
    float* to = pass.gradients.data() + layout().at(pass.model.head_name()).offset;
    for (int64_t i = 0; i < pass.head_gradient.size(); ++i) to[i] += pass.head_gradient[i];
    std::fill_n(pass.head_gradient.data(), pass.head_gradient.size(), 0.0f);
  }
  void drop() {
    std::fill_n(pass.gradients.data(), pass.gradients.size(), 0.0f);
    if (pass.head_gradient.size() > 0)
      std::fill_n(pass.head_gradient.data(), pass.head_gradient.size(), 0.0f);
    pass.step_rows = 0;
  }
  // A pass that throws leaves a half-added gradient: better none.
  template <class F>
  auto guarded(F&& f) {
    try {
      return f();
    } catch (...) {
      drop();
      throw;
    }
  }
};

Trainer::Trainer(const Context& context, Model& model, const Adapter* frozen, Adapter* adapter,
                 const TrainOptions& options) {
  check(options.token_budget >= 1, "RR_BAD_ARGUMENT", "the token budget is too small", ">= 1",
        std::to_string(options.token_budget));
  if (!adapter) model.make_trainable(context);
  model.prepare_backward(context);
  const int64_t parameters = adapter ? adapter->layout().total : model.layout().total;
  impl_ = std::make_shared<Impl>(
      Impl{TrainingPass{model, frozen, adapter, options}, AdamW(parameters)});
  impl_->pass.gradients.resize(parameters);
  if (!adapter && model.config().tied_head)
    impl_->pass.head_gradient.resize(model.config().vocab * model.config().hidden);
}

SftResult Trainer::accumulate_sft(const Context& context, const std::vector<SftSequence>& sequences,
                                  double normaliser, float dropout, uint64_t dropout_seed,
                                  const Job& job) {
  return impl_->guarded([&] {
    return sft_step(context, impl_->pass, sequences, normaliser, dropout, dropout_seed, job);
  });
}

PolicyResult Trainer::accumulate_policy(const Context& context,
                                        const std::vector<PolicyGroup>& groups,
                                        const PolicyLossConfig& config,
                                        const std::vector<double>& weights, float temperature,
                                        const AdapterStack& reference, bool gradients,
                                        const Job& job) {
  const auto step = [&] {
    return policy_step(context, impl_->pass, groups, config, weights, temperature, reference,
                       gradients, job);
  };
  return gradients ? impl_->guarded(step) : step();
}

double Trainer::apply(const Context& context, const OptimiserStep& step) {
  impl_->merge_head_gradient();
  const double norm =
      impl_->optimiser.step(context, layout(), values(), impl_->pass.gradients.data(), step);
  if (std::isfinite(norm)) {
    if (impl_->pass.adapter)
      impl_->pass.adapter->refresh(context);
    else
      impl_->pass.model.refresh(context);
  }
  impl_->drop();
  return norm;
}

void Trainer::drop_gradients() { impl_->drop(); }
const ParameterLayout& Trainer::layout() const { return impl_->layout(); }
float* Trainer::values() {
  return impl_->pass.adapter ? impl_->pass.adapter->values() : impl_->pass.model.values();
}
const float* Trainer::gradients() const {
  impl_->merge_head_gradient();
  return impl_->pass.gradients.data();
}
AdamW& Trainer::optimiser() { return impl_->optimiser; }

}  // namespace reasonrec
