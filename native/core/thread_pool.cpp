// The pool's protocol. Each worker owns a contiguous range of the tasks and takes them in order;
// one that runs out takes whole tasks from the others' ranges, so a core that is busy elsewhere
// delays nobody by more than a task. A gate word counts the workers inside a job: the caller closes
// it when no task is left, so a worker that wakes late finds it shut and never holds the caller up.
#include "core/thread_pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/check.h"

namespace reasonrec {
namespace {

constexpr uint32_t kOpen = 1u << 31;  // gate: open flag, below it the number of workers inside
constexpr auto kSpin = std::chrono::microseconds(60);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or for kSpin; returns done().
template <class F>
bool spin(F&& done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

struct alignas(64) Range {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

}  // namespace

struct ThreadPool::Impl {
  int size;
  std::vector<Range> ranges;
  std::vector<std::thread> threads;
  const std::function<void(int64_t, int)>* fn = nullptr;
  std::atomic<uint32_t> gate{0};
  std::atomic<uint32_t> epoch{0};  // raised for each job, and to stop
  std::atomic<int> parked{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> failed{false};
  std::mutex failure_lock;
  std::exception_ptr failure;

  explicit Impl(int n) : size(n), ranges(static_cast<size_t>(n)) {}

  void run(int worker) {
    for (int turn = 0; turn < size; ++turn) {
      Range& range = ranges[size_t((worker + turn) % size)];
      for (;;) {
        const int64_t task = range.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= range.end) break;
        if (failed.load(std::memory_order_relaxed)) continue;
        try {
          (*fn)(task, worker);
        } catch (...) {
          std::lock_guard<std::mutex> hold(failure_lock);
          if (!failure) failure = std::current_exception();
          failed.store(true, std::memory_order_relaxed);
        }
      }
    }
  }

  // Enters an open gate and works; false where it is shut.
  bool enter(int worker) {
    uint32_t seen = gate.load(std::memory_order_relaxed);
    do {
      if (!(seen & kOpen)) return false;
    } while (!gate.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                         std::memory_order_relaxed));
    run(worker);
    if (gate.fetch_sub(1, std::memory_order_release) == 1) gate.notify_all();
    return true;
  }

  void work(int worker) {
    uint32_t seen = 0;
    while (!stop.load(std::memory_order_acquire)) {
      const auto changed = [&] { return epoch.load(std::memory_order_acquire) != seen; };
      if (!spin(changed)) {
        parked.fetch_add(1, std::memory_order_seq_cst);
        while (epoch.load(std::memory_order_seq_cst) == seen)
          epoch.wait(seen, std::memory_order_acquire);
        parked.fetch_sub(1, std::memory_order_relaxed);
      }
      seen = epoch.load(std::memory_order_acquire);
      enter(worker);
    }
  }

  void announce() {
    epoch.fetch_add(1, std::memory_order_seq_cst);
    if (parked.load(std::memory_order_seq_cst) > 0) epoch.notify_all();
  }
};

ThreadPool::ThreadPool(int threads) {
  check(threads >= 1, "RR_BAD_THREADS", "a thread pool needs at least one thread", ">= 1",
        std::to_string(threads));
  impl_ = std::make_unique<Impl>(threads);
  for (int worker = 1; worker < threads; ++worker)
    impl_->threads.emplace_back([impl = impl_.get(), worker] { impl->work(worker); });
}

ThreadPool::~ThreadPool() {
  impl_->stop.store(true, std::memory_order_release);
  impl_->announce();
  for (std::thread& thread : impl_->threads) thread.join();
}

int ThreadPool::size() const { return impl_->size; }

void ThreadPool::parallel_for(int64_t tasks,
                              const std::function<void(int64_t task, int worker)>& fn) {
  if (tasks <= 0) return;
  if (tasks == 1 || impl_->size == 1) {
    for (int64_t task = 0; task < tasks; ++task) fn(task, 0);
    return;
  }
  Impl& s = *impl_;
  for (int w = 0; w < s.size; ++w) {
    s.ranges[size_t(w)].next.store(tasks * w / s.size, std::memory_order_relaxed);
    s.ranges[size_t(w)].end = tasks * (w + 1) / s.size;
  }
  s.fn = &fn;
  s.gate.store(kOpen, std::memory_order_release);
  s.announce();
  s.run(0);
  uint32_t inside = s.gate.fetch_and(~kOpen, std::memory_order_acquire) & ~kOpen;
  if (inside != 0) {
    const auto empty = [&] { return s.gate.load(std::memory_order_acquire) == 0; };
    if (!spin(empty))
      while ((inside = s.gate.load(std::memory_order_acquire)) != 0)
        s.gate.wait(inside, std::memory_order_acquire);
  }
  s.fn = nullptr;
  if (s.failed.load(std::memory_order_relaxed)) {
    s.failed.store(false, std::memory_order_relaxed);
    std::exception_ptr failure;
    std::swap(failure, s.failure);
    std::rethrow_exception(failure);
  }
}

}  // namespace reasonrec
