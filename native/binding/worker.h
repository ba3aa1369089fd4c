// One engine thread per environment: jobs run one after another in the order of their calls, on the
// one pool, while the event loop goes on. A job is two functions: `work` on the engine thread,
// which touches no JS value, and `result` on the JS thread, which makes the value of its promise.
//
// The environment may end while a job runs (process.exit, Worker.terminate): the cleanup hook asks
// the job to stop, joins the thread and lets go of what is queued, all before the environment is
// gone.
#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "backend/backend.h"
#include "core/job.h"

namespace reasonrec::binding {

// Which queued or running jobs read or change an object; touched on the JS thread only. Calls that
// answer at once look here first.
struct Use {
  int readers = 0, writers = 0;
  void require_unwritten(const char* what) const;  // throws RR_BUSY
  void require_unused(const char* what) const;     // throws RR_BUSY
};

struct Task {
  std::function<void(const Context&, const reasonrec::Job&)> work;
  std::function<Napi::Value(Napi::Env)> result;
  std::vector<std::shared_ptr<Use>> reads, writes;
};

class Worker {
 public:
  explicit Worker(Napi::Env);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // control: an Int32Array of at least 4 words, or undefined.
  Napi::Value run(Napi::Env, const Napi::Value& control, Task);
  Napi::Value set_threads(Napi::Env, int threads);  // promise
  int threads() const { return threads_.load(); }
  void shutdown();  // idempotent; from the cleanup hook

 private:
  struct Pending;
  void loop();
  void execute(Pending&);
  void settle(Napi::Env);
  static void on_wake(napi_env, napi_value, void* context, void*);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Pending>> queued_, finished_;  // under mutex_
  Pending* running_ = nullptr;                              // under mutex_
  bool stopping_ = false;                                   // under mutex_
  std::thread thread_;
  napi_threadsafe_function wake_js_ = nullptr;
  int64_t pending_ = 0;  // JS thread only: promises not yet settled keep the loop alive
  std::atomic<int> threads_;
  // Engine thread only.
  std::unique_ptr<ThreadPool> pool_;
  Workspace scratch_;
};

}  // namespace reasonrec::binding
