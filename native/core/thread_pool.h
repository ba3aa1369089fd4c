// Own thread pool: static partition, whole tasks are taken over from a worker that lags, workers
// spin briefly and then park. No OpenMP runtime: its calls grow from microseconds to milliseconds
// when a core is busy. Which worker runs a task never changes a result: every kernel writes each
// output from one task.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace reasonrec {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // threads >= 1; 1 runs everything on the caller
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Runs fn(task, worker) for task in [0, tasks), the caller being worker 0; returns when all are
  // done. worker is in [0, size()). The first exception thrown by a task is rethrown here.
  // Not reentrant: fn must not call parallel_for.
  void parallel_for(int64_t tasks, const std::function<void(int64_t task, int worker)>& fn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reasonrec
