// The trainer as a JS object, and the pure functions round a policy step.
#pragma once
#include <napi.h>

#include <atomic>
#include <memory>

#include "binding/model.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace reasonrec::binding {

struct TrainerHandle {
  std::shared_ptr<ModelHandle> model;
  std::shared_ptr<AdapterHandle> frozen, adapter;  // adapter null: full-parameter mode
  std::unique_ptr<Trainer> trainer;
  std::shared_ptr<Use> use = std::make_shared<Use>();
  std::atomic<int64_t> steps{0};
  const std::shared_ptr<Use>& trained() const { return adapter ? adapter->use : model->use; }
  TrainingState state() const;  // what a checkpoint holds
  void freshen(const Context&);
};

class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit TrainerWrap(const Napi::CallbackInfo&);

 private:
  Napi::Value accumulate_sft(const Napi::CallbackInfo&);
  Napi::Value accumulate_policy(const Napi::CallbackInfo&);
  Napi::Value apply(const Napi::CallbackInfo&);
  Napi::Value drop_gradients(const Napi::CallbackInfo&);
  Napi::Value layout(const Napi::CallbackInfo&);
  Napi::Value values(const Napi::CallbackInfo&);
  Napi::Value set_values(const Napi::CallbackInfo&);
  Napi::Value gradients(const Napi::CallbackInfo&);
  Napi::Value save_state(const Napi::CallbackInfo&);
  Napi::Value load_state(const Napi::CallbackInfo&);
  Napi::Value steps(const Napi::CallbackInfo&);
  Task training_task() const;  // reads the model and the adapters, changes the gradients

  std::shared_ptr<TrainerHandle> handle_;
};

Napi::Value create_trainer(const Napi::CallbackInfo&);
Napi::Value group_advantages(const Napi::CallbackInfo&);
Napi::Value advantages_of_tokens(const Napi::CallbackInfo&);
Napi::Value weights_of_aggregation(const Napi::CallbackInfo&);
Napi::Value policy_loss_over(const Napi::CallbackInfo&);
Napi::Value selected_tokens(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
