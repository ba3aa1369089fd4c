// The engine thread; see worker.h.
#include "binding/worker.h"

#include <cstdlib>
#include <exception>
#include <string>

#include "binding/convert.h"

namespace reasonrec::binding {

void Use::require_unwritten(const char* what) const {
  check(writers == 0, "RR_BUSY", std::string(what) + " is being changed by a job", "an idle object",
        "a running job", "await the job first");
}

void Use::require_unused(const char* what) const {
  check(writers == 0 && readers == 0, "RR_BUSY", std::string(what) + " is in use by a job",
        "an idle object", "a running job", "await the job first");
}

struct Worker::Pending {
  explicit Pending(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise::Deferred deferred;
  Napi::Reference<Napi::Value> control;  // keeps the words alive
  std::atomic<int32_t> own_words[4] = {};
  reasonrec::Job handle{own_words};
  Task task;
  std::exception_ptr error;

  void mark(int by) {
    for (auto& use : task.reads) use->readers += by;
    for (auto& use : task.writes) use->writers += by;
  }
  void cancel() { handle.words[0].store(1, std::memory_order_relaxed); }
};

namespace {

int default_threads() {
  const char* set = std::getenv("REASONREC_THREADS");
  const long wanted = set ? std::strtol(set, nullptr, 10) : 0;
  if (wanted >= 1 && wanted <= 1024) return int(wanted);
  const unsigned found = std::thread::hardware_concurrency();
  return found > 0 ? int(found) : 1;
}

std::atomic<int32_t>* control_words(const Napi::Value& value) {
  static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t));
  check(value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array &&
            value.As<Napi::TypedArray>().ElementLength() >= 4,
        "RR_BAD_ARGUMENT", "control is not usable",
        "an Int32Array of at least 4 words over a SharedArrayBuffer", "something else");
  return reinterpret_cast<std::atomic<int32_t>*>(value.As<Napi::Int32Array>().Data());
}

}  // namespace

Worker::Worker(Napi::Env env) : threads_(default_threads()) {
  napi_value name = Napi::String::New(env, "reasonrec");
  const napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, &Worker::on_wake, &wake_js_);
  check(status == napi_ok, "RR_ADDON_UNAVAILABLE",
        "the engine thread could not be connected to the event loop");
  napi_unref_threadsafe_function(env, wake_js_);
  // Added after the function above, hence run before its own hook.
  napi_add_env_cleanup_hook(
      env, [](void* worker) { static_cast<Worker*>(worker)->shutdown(); }, this);
}

Worker::~Worker() = default;

Napi::Value Worker::run(Napi::Env env, const Napi::Value& control, Task task) {
  auto pending = std::make_unique<Pending>(env);
  if (!control.IsUndefined()) {
    pending->handle.words = control_words(control);
    pending->control = Napi::Reference<Napi::Value>::New(control, 1);
  }
  pending->task = std::move(task);
  pending->mark(+1);
  if (pending_++ == 0) napi_ref_threadsafe_function(env, wake_js_);
  const Napi::Value promise = pending->deferred.Promise();
  std::lock_guard lock(mutex_);
  queued_.push_back(std::move(pending));
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  wake_.notify_one();
  return promise;
}

Napi::Value Worker::set_threads(Napi::Env env, int threads) {
  check(threads >= 1 && threads <= 1024, "RR_USAGE", "the number of threads is out of range",
        "1 to 1024", std::to_string(threads));
  Task task;
  task.work = [this, threads](const Context&, const reasonrec::Job&) {
    pool_ = std::make_unique<ThreadPool>(threads);
    threads_ = threads;
  };
  return run(env, env.Undefined(), std::move(task));
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
    if (stopping_) break;
    std::unique_ptr<Pending> pending = std::move(queued_.front());
    queued_.pop_front();
    running_ = pending.get();
    lock.unlock();
    execute(*pending);
    lock.lock();
    running_ = nullptr;
    finished_.push_back(std::move(pending));
    if (!stopping_) napi_call_threadsafe_function(wake_js_, nullptr, napi_tsfn_nonblocking);
  }
  lock.unlock();
  pool_.reset();
}

void Worker::execute(Pending& pending) {
  try {
    if (!pool_) pool_ = std::make_unique<ThreadPool>(threads_.load());
    const Context context{&select_cpu_kernels(), pool_.get(), &scratch_};
    pending.handle.poll();
    pending.task.work(context, pending.handle);
  } catch (...) {
    pending.error = std::current_exception();
  }
}

void Worker::on_wake(napi_env env, napi_value, void* context, void*) {
  if (env != nullptr) static_cast<Worker*>(context)->settle(env);
}

// Settles every finished promise. A result that cannot be made (out of memory) rejects its own.
void Worker::settle(Napi::Env env) {
  for (;;) {
    std::unique_ptr<Pending> pending;
    {
      std::lock_guard lock(mutex_);
      if (finished_.empty()) return;
      pending = std::move(finished_.front());
      finished_.pop_front();
    }
    Napi::HandleScope scope(env);
    pending->mark(-1);
    if (--pending_ == 0) napi_unref_threadsafe_function(env, wake_js_);
    try {
      if (pending->error) std::rethrow_exception(pending->error);
      pending->deferred.Resolve(pending->task.result ? pending->task.result(env) : env.Undefined());
    } catch (...) {
      pending->deferred.Reject(current_error(env).Value());
    }
  }
}

void Worker::shutdown() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    if (running_) running_->cancel();
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  queued_.clear();  // references go while their environment is still there
  finished_.clear();
  napi_release_threadsafe_function(wake_js_, napi_tsfn_abort);
}

}  // namespace reasonrec::binding
