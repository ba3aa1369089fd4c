// SASRec and its trainer as one JS object; see sasrec/sasrec_trainer.h for what its calls compute.
#pragma once
#include <napi.h>

#include <memory>

#include "binding/worker.h"
#include "sasrec/sasrec_trainer.h"
#include "train/checkpoint.h"

namespace reasonrec::binding {

struct SasrecHandle {
  std::unique_ptr<SasrecModel> model;
  std::unique_ptr<SasrecTrainer> trainer;
  std::shared_ptr<Use> use = std::make_shared<Use>();
  bool stale = false;  // values changed since they were packed; the next job packs them
  TrainingState state() const;
  void freshen(const Context&);
};

class SasrecWrap : public Napi::ObjectWrap<SasrecWrap> {
 public:
  static Napi::Function define(Napi::Env);
  explicit SasrecWrap(const Napi::CallbackInfo&);

 private:
  Napi::Value accumulate(const Napi::CallbackInfo&);
  Napi::Value apply(const Napi::CallbackInfo&);
  Napi::Value drop_gradients(const Napi::CallbackInfo&);
  Napi::Value scores(const Napi::CallbackInfo&);
  Napi::Value layout(const Napi::CallbackInfo&);
  Napi::Value values(const Napi::CallbackInfo&);
  Napi::Value set_values(const Napi::CallbackInfo&);
  Napi::Value gradients(const Napi::CallbackInfo&);
  Napi::Value save_state(const Napi::CallbackInfo&);
  Napi::Value load_state(const Napi::CallbackInfo&);
  // A job on this object alone.
  Napi::Value run(const Napi::CallbackInfo&, const Napi::Value& control,
                  std::function<void(const Context&, const reasonrec::Job&)> work,
                  std::function<Napi::Value(Napi::Env)> result = nullptr);

  std::shared_ptr<SasrecHandle> handle_;
};

Napi::Value create_sasrec(const Napi::CallbackInfo&);

}  // namespace reasonrec::binding
