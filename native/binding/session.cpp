// A decoding session as a JS object; see session.h.
#include "binding/session.h"

#include "binding/addon.h"
#include "binding/convert.h"
#include "binding/decoder.h"

namespace reasonrec::binding {
namespace {

Napi::Value samples_to_js(Napi::Env env, const std::vector<SessionSample>& samples) {
  Napi::Array out = Napi::Array::New(env, samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    Napi::HandleScope scope(env);
    Napi::Object one = Napi::Object::New(env);
    one.Set("group", double(samples[i].group));
    one.Set("sample", samples[i].sample);
    one.Set("result", to_js(env, samples[i].result));
    out.Set(uint32_t(i), one);
  }
  return out;
}

}  // namespace

Napi::Function SessionWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeSession",
      {InstanceMethod<&SessionWrap::join>("join"), InstanceMethod<&SessionWrap::drop>("drop"),
       InstanceMethod<&SessionWrap::step>("step"), InstanceMethod<&SessionWrap::close>("close")});
}

SessionWrap::SessionWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SessionWrap>(info), handle_(given_handle<SessionHandle>(info)) {
  info.This().As<Napi::Object>().TypeTag(&kSessionTag);
}

void SessionWrap::require_open() const {
  check(handle_->session != nullptr, "RR_SESSION_CLOSED", "this session is closed",
        "an open session", "a closed one", "open another");
}

// join(id, group, script, seed, watched): id a whole number of the caller's.
Napi::Value SessionWrap::join(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    require_open();
    SessionGroup joining;
    joining.id = integer(info[0], "id");
    joining.request = std::make_shared<const GroupRequest>(group_request(info[1]));
    joining.script = std::make_shared<const std::vector<ScriptStep>>(script(info[2]));
    joining.seed = word(info[3], "seed");
    joining.watched = boolean(info[4], "watched");
    handle_->session->require(joining);
    handle_->joining.push_back(std::move(joining));
    return info.Env().Undefined();
  });
}

Napi::Value SessionWrap::drop(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    require_open();
    handle_->dropping.push_back(integer(info[0], "id"));
    return info.Env().Undefined();
  });
}

Napi::Value SessionWrap::step(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    require_open();
    check(!handle_->stepping, "RR_BUSY", "a step of this session runs", "one step at a time", "two",
          "await the step first");
    struct Call {
      std::vector<SessionGroup> joining;
      std::vector<int64_t> dropping;
      SessionNews news;
      bool idle = true;
    };
    auto call = std::make_shared<Call>();
    call->joining.swap(handle_->joining);
    call->dropping.swap(handle_->dropping);

    Task task;
    task.reads = {handle_->model->use};
    handle_->adapters.read(task.reads);
    // However the job ends, its task is let go of on the JS thread: then the session is free again.
    auto running = std::shared_ptr<SessionHandle>(
        handle_.get(), [held = handle_](SessionHandle* s) { s->stepping = false; });
    handle_->stepping = true;
    task.work = [call, running](const Context& context, const reasonrec::Job& control) {
      running->model->freshen(context);
      running->adapters.stack(context);
      DecodeSession& session = *running->session;
      for (SessionGroup& group : call->joining) session.join(std::move(group));
      for (const int64_t id : call->dropping) session.drop(id);
      call->news = session.step(context, control);
      call->idle = session.idle();
    };
    task.result = [call](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("finished", samples_to_js(env, call->news.finished));
      out.Set("grown", samples_to_js(env, call->news.grown));
      out.Set("idle", call->idle);
      return out;
    };
    return worker(info.Env()).run(info.Env(), info[0], std::move(task));
  });
}

Napi::Value SessionWrap::close(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    check(!handle_->stepping, "RR_BUSY", "a step of this session runs", "an idle session",
          "a running step", "await the step first");
    handle_->session.reset();
    handle_->joining.clear();
    handle_->dropping.clear();
    return info.Env().Undefined();
  });
}

// openSession(model, adapters, {maxRows, sharePrefix, vocabularyBytes})
Napi::Value open_session(const Napi::CallbackInfo& info) {
  return guarded(info, [&] {
    auto handle = std::make_shared<SessionHandle>();
    handle->model = model_handle(info[0]);
    handle->adapters = adapter_handles(info[1], *handle->model);
    const Napi::Object options = object(info[2], "options");
    const SessionOptions session{int(integer(options, "maxRows")), boolean(options, "sharePrefix"),
                                 true};
    handle->vocabulary = vocabulary_bytes(field(options, "vocabularyBytes"));
    const AdapterStack adapters{
        handle->adapters.frozen ? handle->adapters.frozen->adapter.get() : nullptr,
        handle->adapters.trained ? handle->adapters.trained->adapter.get() : nullptr};
    handle->session = std::make_unique<DecodeSession>(
        select_cpu_kernels(), *handle->model->model, adapters, session,
        handle->vocabulary ? &*handle->vocabulary : nullptr);
    return wrap(data(info.Env()).session, info.Env(), std::move(handle));
  });
}

}  // namespace reasonrec::binding
