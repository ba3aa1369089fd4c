// SASRec as a JS object: columns in, numbers out.
#include "binding/sasrec.h"

#include <cstring>

#include "binding/addon.h"
#include "binding/convert.h"

namespace reasonrec::binding {
namespace {

Sequences sequences_of(const Napi::Value& value, const char* what) {
  const Napi::Object in = object(value, what);
  return {int32s(field(in, "items"), "items"), int32s(field(in, "offsets"), "offsets")};
}

SasrecShape shape_of(const Napi::Value& value) {
  const Napi::Object in = object(value, "shape");
  SasrecShape out;
  out.items = integer(in, "items");
  out.positions = integer(in, "positions");
  out.width = integer(in, "width");
  out.blocks = integer(in, "blocks");
  out.heads = int(integer(in, "heads"));
  out.norm_epsilon = float(number(in, "normEpsilon"));
  return out;
}

SasrecStep step_of(const Napi::Value& value) {
  const Napi::Object in = object(value, "step");
  SasrecStep out;
  out.normaliser = number(in, "normaliser");
  out.dropout = float(number(in, "dropout"));
  out.seed = word(field(in, "seed"), "seed of the step");
  out.negatives = integer(in, "negatives");
  out.positive_weight = number(in, "positiveWeight");
  out.spare_sequence = boolean(in, "spareSequence");
  out.row_budget = integer(in, "rowBudget");
  check(out.dropout >= 0 && out.dropout < 1, "RR_BAD_ARGUMENT", "dropout is out of range", "[0, 1)",
        std::to_string(out.dropout));
  return out;
}

}  // namespace

TrainingState SasrecHandle::state() const {
  return {model->layout(), trainer->optimiser(), model->values()};
}

void SasrecHandle::freshen(const Context& context) {
  if (stale) model->refresh(context);
  stale = false;
}

Napi::Function SasrecWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeSasrec",
      {InstanceMethod<&SasrecWrap::accumulate>("accumulate"),
       InstanceMethod<&SasrecWrap::apply>("apply"),
       InstanceMethod<&SasrecWrap::drop_gradients>("dropGradients"),
       InstanceMethod<&SasrecWrap::scores>("scores"), InstanceMethod<&SasrecWrap::layout>("layout"),
       InstanceMethod<&SasrecWrap::values>("values"),
       InstanceMethod<&SasrecWrap::set_values>("setValues"),
       InstanceMethod<&SasrecWrap::gradients>("gradients"),
       InstanceMethod<&SasrecWrap::save_state>("saveState"),
       InstanceMethod<&SasrecWrap::load_state>("loadState")});
}

SasrecWrap::SasrecWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SasrecWrap>(info), handle_(given_handle<SasrecHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kSasrecTag);
}

Napi::Value SasrecWrap::run(const Napi::CallbackInfo& info, const Napi::Value& control,
                            std::function<void(const Context&, const reasonrec::Job&)> work,
                            std::function<Napi::Value(Napi::Env)> result) {
  Task task;
  task.writes = {handle_->use};
  task.work = [work = std::move(work), handle = handle_](const Context& context,
                                                         const reasonrec::Job& job) {
    handle->freshen(context);
    work(context, job);
  };
  task.result = std::move(result);
  return worker(info.Env()).run(info.Env(), control, std::move(task));
}

Napi::Value SasrecWrap::accumulate(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      Sequences sequences;
      SasrecStep step;
      SasrecResult result;
    };
    auto call =
        std::make_shared<Call>(Call{sequences_of(info[0], "sequences"), step_of(info[1]), {}});
    return run(
        info, info[2],
        [call, handle = handle_](const Context& context, const reasonrec::Job& job) {
          call->result = handle->trainer->accumulate(context, call->sequences, call->step, job);
        },
        [call](Napi::Env env) -> Napi::Value {
          Napi::Object out = Napi::Object::New(env);
          out.Set("loss", call->result.loss);
          out.Set("rows", double(call->result.rows));
          return out;
        });
  });
}

Napi::Value SasrecWrap::apply(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto norm = std::make_shared<double>(0);
    return run(
        info, info.Env().Undefined(),
        [norm, handle = handle_, step = optimiser_step(info[0])](const Context& context,
                                                                 const reasonrec::Job&) {
          *norm = handle->trainer->apply(context, step);
        },
        [norm](Napi::Env env) { return Napi::Number::New(env, *norm); });
  });
}

Napi::Value SasrecWrap::drop_gradients(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->use->require_unused("SASRec");
    handle_->trainer->drop_gradients();
    return info.Env().Undefined();
  });
}

Napi::Value SasrecWrap::scores(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      Sequences histories, candidates;
      int64_t row_budget = 0;
      std::vector<float> scores;
    };
    auto call = std::make_shared<Call>();
    call->histories = sequences_of(info[0], "histories");
    call->candidates = sequences_of(info[1], "candidates");
    call->row_budget = integer(object(info[2], "options"), "rowBudget");
    return run(
        info, info[3],
        [call, handle = handle_](const Context& context, const reasonrec::Job& job) {
          call->scores = sasrec_scores(context, *handle->model, call->histories, call->candidates,
                                       call->row_budget, job);
        },
        [call](Napi::Env env) { return to_js(env, call->scores); });
  });
}

Napi::Value SasrecWrap::layout(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), handle_->model->layout());
}

Napi::Value SasrecWrap::values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->use->require_unwritten("SASRec");
    return float32s(info.Env(), handle_->model->values(), handle_->model->layout().total);
  });
}

Napi::Value SasrecWrap::set_values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const std::vector<float> values = floats(info[0], "values");
    const int64_t total = handle_->model->layout().total;
    check(int64_t(values.size()) == total, "RR_SHAPE_MISMATCH",
          "SASRec has another number of values", std::to_string(total),
          std::to_string(values.size()));
    handle_->use->require_unused("SASRec");
    std::memcpy(handle_->model->values(), values.data(), values.size() * sizeof(float));
    handle_->stale = true;
    return info.Env().Undefined();
  });
}

Napi::Value SasrecWrap::gradients(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->use->require_unwritten("SASRec");
    return float32s(info.Env(), handle_->trainer->gradients(), handle_->model->layout().total);
  });
}

Napi::Value SasrecWrap::save_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    return run(
        info, info.Env().Undefined(),
        [handle = handle_, file = text(info[0], "file")](const Context&, const reasonrec::Job&) {
          save_training_state(handle->state(), file);
        });
  });
}

Napi::Value SasrecWrap::load_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    return run(info, info.Env().Undefined(),
               [handle = handle_, file = text(info[0], "file")](const Context& context,
                                                                const reasonrec::Job&) {
                 load_training_state(handle->state(), file);
                 handle->model->refresh(context);
               });
  });
}

Napi::Value create_sasrec(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto handle = std::make_shared<SasrecHandle>();
    const SasrecShape shape = shape_of(info[0]);
    const uint64_t seed = word(info[1], "seed");
    validate(shape);
    Task task;
    task.writes = {handle->use};
    task.work = [handle, shape, seed](const Context& context, const reasonrec::Job&) {
      handle->model = std::make_unique<SasrecModel>(shape, seed);
      handle->trainer = std::make_unique<SasrecTrainer>(context, *handle->model);
    };
    task.result = [handle](Napi::Env env) { return wrap(data(env).sasrec, env, handle); };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

}  // namespace reasonrec::binding
