// The trainer as a JS object; see train/trainer.h for what its calls compute.
#include "binding/trainer.h"

#include <cstring>

#include "binding/addon.h"
#include "binding/convert.h"
#include "rl/advantage.h"
#include "rl/token_selection.h"

namespace reasonrec::binding {
namespace {

void same_length(const char* name, size_t got, size_t want) {
  check(got == want, "RR_SHAPE_MISMATCH", std::string(name) + " has another length than its tokens",
        std::to_string(want), std::to_string(got));
}

SftSequence sft_sequence(const Napi::Value& value) {
  const Napi::Object in = object(value, "sequence");
  SftSequence out{int32s(field(in, "ids"), "ids"), floats(field(in, "weights"), "weights")};
  same_length("weights", out.weights.size(), out.ids.size());
  return out;
}

PolicyCompletion completion(const Napi::Value& value) {
  const Napi::Object in = object(value, "completion");
  PolicyCompletion out;
  out.ids = int32s(field(in, "ids"), "ids");
  out.mask = bytes(field(in, "mask"), "mask");
  out.old_logprobs = floats(field(in, "oldLogprobs"), "oldLogprobs");
  out.advantage = float(number(in, "advantage"));
  out.token_advantages = floats(field(in, "tokenAdvantages"), "tokenAdvantages");
  out.sft_weight = float(number(in, "sftWeight"));
  out.sft_mask = bytes(field(in, "sftMask"), "sftMask");
  out.trie_begin = int32_t(integer(in, "trieBegin"));
  out.treatment = bytes(field(in, "treatment"), "treatment");
  same_length("mask", out.mask.size(), out.ids.size());
  same_length("oldLogprobs", out.old_logprobs.size(), out.ids.size());
  same_length("sftMask", out.sft_mask.size(), out.ids.size());
  if (!out.token_advantages.empty())
    same_length("tokenAdvantages", out.token_advantages.size(), out.ids.size());
  if (!out.treatment.empty()) same_length("treatment", out.treatment.size(), out.ids.size());
  return out;
}

PolicyGroup policy_group(const Napi::Value& value) {
  const Napi::Object in = object(value, "group");
  PolicyGroup out;
  out.prompt = int32s(field(in, "prompt"), "prompt");
  out.trie = trie_handle(field(in, "trie"));
  const Napi::Array completions = array(field(in, "completions"), "completions");
  for (uint32_t i = 0; i < completions.Length(); ++i)
    out.completions.push_back(completion(completions.Get(i)));
  return out;
}

}  // namespace

TrainingState TrainerHandle::state() const {
  return {trainer->layout(), trainer->optimiser(), adapter ? nullptr : trainer->values()};
}

void TrainerHandle::freshen(const Context& context) {
  model->freshen(context);
  if (frozen) frozen->freshen(context);
  if (adapter) adapter->freshen(context);
}

Napi::Function TrainerWrap::define(Napi::Env env) {
  return DefineClass(env, "NativeTrainer",
                     {InstanceMethod<&TrainerWrap::accumulate_sft>("accumulateSft"),
                      InstanceMethod<&TrainerWrap::accumulate_policy>("accumulatePolicy"),
                      InstanceMethod<&TrainerWrap::apply>("apply"),
                      InstanceMethod<&TrainerWrap::drop_gradients>("dropGradients"),
                      InstanceMethod<&TrainerWrap::layout>("layout"),
                      InstanceMethod<&TrainerWrap::values>("values"),
                      InstanceMethod<&TrainerWrap::set_values>("setValues"),
                      InstanceMethod<&TrainerWrap::gradients>("gradients"),
                      InstanceMethod<&TrainerWrap::save_state>("saveState"),
                      InstanceMethod<&TrainerWrap::load_state>("loadState"),
                      InstanceAccessor<&TrainerWrap::steps>("steps")});
}

TrainerWrap::TrainerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TrainerWrap>(info), handle_(given_handle<TrainerHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kTrainerTag);
}

Task TrainerWrap::training_task() const {
  Task task;
  task.writes = {handle_->use};
  task.reads = {handle_->model->use};
  if (handle_->frozen) task.reads.push_back(handle_->frozen->use);
  if (handle_->adapter) task.reads.push_back(handle_->adapter->use);
  return task;
}

Napi::Value TrainerWrap::accumulate_sft(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      std::vector<SftSequence> sequences;
      double normaliser = 0;
      float dropout = 0;
      uint64_t seed = 0;
      SftResult result;
    };
    auto call = std::make_shared<Call>();
    const Napi::Array sequences = array(info[0], "sequences");
    for (uint32_t i = 0; i < sequences.Length(); ++i)
      call->sequences.push_back(sft_sequence(sequences.Get(i)));
    call->normaliser = number(info[1], "normaliser");
    const Napi::Object dropout = object(info[2], "dropout");
    call->dropout = float(number(dropout, "p"));
    call->seed = word(field(dropout, "seed"), "seed of the dropout");
    check(call->dropout >= 0 && call->dropout < 1, "RR_BAD_ARGUMENT", "dropout is out of range",
          "[0, 1)", std::to_string(call->dropout));

    Task task = training_task();
    task.work = [call, trainer = handle_](const Context& context, const reasonrec::Job& control) {
      trainer->freshen(context);
      call->result = trainer->trainer->accumulate_sft(context, call->sequences, call->normaliser,
                                                      call->dropout, call->seed, control);
    };
    task.result = [call](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("loss", call->result.loss);
      out.Set("tokens", double(call->result.tokens));
      out.Set("rows", double(call->result.rows));
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[3], std::move(task));
  });
}

Napi::Value TrainerWrap::accumulate_policy(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    struct Call {
      std::vector<PolicyGroup> groups;
      PolicyLossConfig loss;
      std::vector<double> weights;
      float temperature = 1;
      AdapterHandles reference;
      bool gradients = true;
      PolicyResult result;
    };
    auto call = std::make_shared<Call>();
    const Napi::Array groups = array(info[0], "groups");
    size_t completions = 0;
    for (uint32_t i = 0; i < groups.Length(); ++i) {
      call->groups.push_back(policy_group(groups.Get(i)));
      completions += call->groups.back().completions.size();
    }
    call->loss = policy_loss_config(info[1]);
    call->weights = doubles(info[2], "weights");
    check(call->weights.size() == completions, "RR_SHAPE_MISMATCH",
          "weights are one per completion", std::to_string(completions),
          std::to_string(call->weights.size()));
    call->temperature = float(number(info[3], "temperature"));
    call->reference = adapter_handles(info[4], *handle_->model);
    call->gradients = boolean(info[5], "gradients");

    Task task = training_task();
    call->reference.read(task.reads);
    task.work = [call, trainer = handle_](const Context& context, const reasonrec::Job& control) {
      trainer->freshen(context);
      call->result = trainer->trainer->accumulate_policy(
          context, call->groups, call->loss, call->weights, call->temperature,
          call->reference.stack(context), call->gradients, control);
    };
    task.result = [call](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("sums", to_js(env, call->result.sums));
      out.Set("sftLoss", call->result.sft_loss);
      out.Set("rows", double(call->result.rows));
      out.Set("logprobs", to_js(env, call->result.logprobs));
      out.Set("referenceLogprobs", to_js(env, call->result.reference_logprobs));
      out.Set("entropies", to_js(env, call->result.entropies));
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[6], std::move(task));
  });
}

Napi::Value TrainerWrap::apply(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto norm = std::make_shared<double>(0);
    Task task = training_task();
    task.writes.push_back(handle_->trained());
    task.work = [norm, trainer = handle_, step = optimiser_step(info[0])](const Context& context,
                                                                          const reasonrec::Job&) {
      trainer->freshen(context);
      *norm = trainer->trainer->apply(context, step);
      trainer->steps = trainer->trainer->optimiser().steps();
    };
    task.result = [norm](Napi::Env env) { return Napi::Number::New(env, *norm); };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

Napi::Value TrainerWrap::drop_gradients(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->use->require_unused("the trainer");
    handle_->trainer->drop_gradients();
    return info.Env().Undefined();
  });
}

Napi::Value TrainerWrap::layout(const Napi::CallbackInfo& info) {
  return to_js(info.Env(), handle_->trainer->layout());
}

Napi::Value TrainerWrap::values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->trained()->require_unwritten("what the trainer trains");
    return float32s(info.Env(), handle_->trainer->values(), handle_->trainer->layout().total);
  });
}

Napi::Value TrainerWrap::set_values(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const std::vector<float> values = floats(info[0], "values");
    const int64_t total = handle_->trainer->layout().total;
    check(int64_t(values.size()) == total, "RR_SHAPE_MISMATCH",
          "the trainer has another number of values", std::to_string(total),
          std::to_string(values.size()));
    handle_->trained()->require_unused("what the trainer trains");
    std::memcpy(handle_->trainer->values(), values.data(), values.size() * sizeof(float));
    (handle_->adapter ? handle_->adapter->stale : handle_->model->stale) = true;
    return info.Env().Undefined();
  });
}

Napi::Value TrainerWrap::gradients(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    handle_->use->require_unwritten("the trainer");
    return float32s(info.Env(), handle_->trainer->gradients(), handle_->trainer->layout().total);
  });
}

Napi::Value TrainerWrap::save_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Task task;
    task.reads = {handle_->use, handle_->trained()};
    task.work = [trainer = handle_, file = text(info[0], "file")](const Context&,
                                                                  const reasonrec::Job&) {
      save_training_state(trainer->state(), file);
    };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

Napi::Value TrainerWrap::load_state(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    Task task;
    task.writes = {handle_->use, handle_->trained()};
    task.work = [trainer = handle_, file = text(info[0], "file")](const Context& context,
                                                                  const reasonrec::Job&) {
      const bool full = trainer->adapter == nullptr;
      load_training_state(trainer->state(), file);
      if (full) trainer->model->model->refresh(context);
      trainer->steps = trainer->trainer->optimiser().steps();
    };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

Napi::Value TrainerWrap::steps(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), double(handle_->steps.load()));
}

Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto handle = std::make_shared<TrainerHandle>();
    handle->model = model_handle(info[0]);
    handle->frozen = adapter_handle(info[1]);
    handle->adapter = adapter_handle(info[2]);
    require_fit(handle->frozen.get(), *handle->model);
    require_fit(handle->adapter.get(), *handle->model);
    check(!handle->adapter || handle->adapter != handle->frozen, "RR_BAD_ARGUMENT",
          "the trained adapter cannot be the frozen one too", "two adapters", "one", "clone it");
    const Napi::Object in = object(info[3], "options");
    TrainOptions options;
    options.token_budget = integer(in, "tokenBudget");
    options.recompute = boolean(in, "recompute");
    options.share_prefix = boolean(in, "sharePrefix");
    check(options.token_budget >= 1, "RR_BAD_ARGUMENT", "tokenBudget is out of range", ">= 1",
          std::to_string(options.token_budget));
    Task task;
    task.writes = {handle->model->use};  // its weights are packed a second time, for the backward
    task.work = [handle, options](const Context& context, const reasonrec::Job&) {
      handle->freshen(context);
      handle->trainer = std::make_unique<Trainer>(
          context, *handle->model->model, handle->frozen ? handle->frozen->adapter.get() : nullptr,
          handle->adapter ? handle->adapter->adapter.get() : nullptr, options);
    };
    task.result = [handle](Napi::Env env) { return wrap(data(env).trainer, env, handle); };
    return worker(info.Env()).run(info.Env(), info.Env().Undefined(), std::move(task));
  });
}

RewardBatch reward_batch(const Napi::Value& value) {
  const Napi::Object in = object(value, "reward batch");
  return {doubles(field(in, "rewards"), "rewards"),
          doubles(field(in, "termWeights"), "termWeights"),
          int32s(field(in, "groupSizes"), "groupSizes"),
          bytes(field(in, "valid"), "valid"),
          int32s(field(in, "lengths"), "lengths"),
          bytes(field(in, "hits"), "hits"),
          doubles(field(in, "baselines"), "baselines")};
}

Napi::Value group_advantages(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const Napi::Object in = object(info[2], "options");
    const AdvantageOptions options{number(in, "epsilon"), int32_t(integer(in, "passK")),
                                   boolean(in, "passStd")};
    return to_js(info.Env(), advantages(advantage_from_name(text(info[0], "estimator")),
                                        reward_batch(info[1]), options));
  });
}

Napi::Value advantages_of_tokens(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    return to_js(info.Env(), token_advantages(reward_batch(info[0]), doubles(info[1], "penalties"),
                                              number(info[2], "discount")));
  });
}

Napi::Value weights_of_aggregation(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const std::vector<int32_t> lengths = int32s(info[1], "lengths");
    return to_js(info.Env(),
                 aggregation_weights(aggregation_from_name(text(info[0], "aggregation")),
                                     std::vector<int64_t>(lengths.begin(), lengths.end()),
                                     number(info[2], "maxLength")));
  });
}

Napi::Value policy_loss_over(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const PolicyLossConfig config = policy_loss_config(info[0]);
    const Napi::Object in = object(info[1], "tokens");
    PolicyTokens tokens;
    tokens.logprob = floats(field(in, "logprob"), "logprob");
    tokens.old_logprob = floats(field(in, "oldLogprob"), "oldLogprob");
    tokens.reference = floats(field(in, "reference"), "reference");
    tokens.advantage = floats(field(in, "advantage"), "advantage");
    tokens.weight = doubles(field(in, "weight"), "weight");
    tokens.treatment = bytes(field(in, "treatment"), "treatment");
    for (int32_t n : int32s(field(in, "lengths"), "lengths")) tokens.lengths.push_back(n);
    for (int32_t n : int32s(field(in, "groupSizes"), "groupSizes")) tokens.group_sizes.push_back(n);
    std::vector<float> gradient(tokens.logprob.size());
    const PolicyLossSums sums = policy_loss(config, tokens, gradient.data());
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("sums", to_js(info.Env(), sums));
    out.Set("gradient", to_js(info.Env(), gradient));
    return Napi::Value(out);
  });
}

Napi::Value selected_tokens(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    const Napi::Object in = object(info[0], "selection");
    TokenSelection selection;
    selection.loss = policy_loss_from_name(text(in, "loss"));
    selection.share = number(in, "share");
    selection.low = number(in, "low");
    selection.high = number(in, "high");
    selection.seed = word(field(in, "seed"), "seed of the selection");
    selection.stream = word(field(in, "stream"), "stream of the selection");
    selection.keep_entropy = number(in, "keepEntropy");
    return to_js(info.Env(),
                 select_tokens(selection, floats(info[1], "logprobs"),
                               floats(info[2], "advantages"), floats(info[3], "entropies")));
  });
}

}  // namespace reasonrec::binding
