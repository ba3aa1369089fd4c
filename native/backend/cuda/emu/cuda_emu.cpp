// See cuda_emu.h. A fiber starts by makecontext and changes over by setjmp/longjmp, which costs
// some ten nanoseconds; AddressSanitizer is told of every change.
#include "backend/cuda/emu/cuda_emu.h"

#include <csetjmp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace reasonrec::emu {
namespace {

constexpr size_t kStackBytes = 128 * 1024;
constexpr unsigned kWarp = 32;
constexpr size_t kSlotBytes = 64;  // most a lane gives to a warp operation

struct Fiber {
  ucontext_t start;
  jmp_buf at;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  void* fake_stack = nullptr;  // AddressSanitizer's
  bool started = false, done = false;
  const unsigned* waits_for = nullptr;  // a barrier's generation, until it differs from `seen`
  unsigned seen = 0;
  Site site{"", 0};
};

// Threads that have come to one place.
struct Barrier {
  unsigned generation = 0, count = 0;
  Site site{"", 0};
};

struct Warp {
  Barrier barrier;
  char slots[2][kWarp * kSlotBytes];  // two, so that a lane may be one operation ahead of a reader
};

struct Machine {
  const char* kernel = "";
  const std::function<void()>* thread = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  std::map<std::pair<std::string, int>, std::pair<std::unique_ptr<char[]>, size_t>> shared;
  Barrier barrier;
  unsigned size = 0, alive = 0, current = 0;
  jmp_buf scheduler;
  void* scheduler_fake = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_bytes = 0;
  std::string failure;
  uint64_t seed = 0, state = 0;
};
Machine machine;

uint64_t next_random() {  // splitmix64
  uint64_t z = machine.state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

void shuffle_order(std::vector<unsigned>& order) {
  if (machine.seed == 0) return;
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[next_random() % i]);
}

void leaving([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom,
             [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake, bottom, bytes);
#endif
}
void arrived([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom,
             [[maybe_unused]] size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, bottom, bytes);
#endif
}

Fiber& current() { return *machine.fibers[machine.current]; }

// Back to the scheduler; returns when the fiber is chosen again, never if it is done.
void change_over() {
  Fiber& f = current();
  leaving(f.done ? nullptr : &f.fake_stack, machine.scheduler_stack, machine.scheduler_bytes);
  if (f.done || _setjmp(f.at) == 0) _longjmp(machine.scheduler, 1);
  arrived(f.fake_stack, nullptr, nullptr);
}

std::string place(Site s) {
  const char* name = std::strrchr(s.file, '/');
  return std::string(name ? name + 1 : s.file) + ":" + std::to_string(s.line);
}
bool same(Site a, Site b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

[[noreturn]] void fail(const std::string& what) {
  machine.failure = std::string(machine.kernel) + ": " + what + " (thread " +
                    std::to_string(machine.current) + " of block " + std::to_string(blockIdx.x) +
                    "," + std::to_string(blockIdx.y) + "," + std::to_string(blockIdx.z) + ")";
  current().done = true;
  change_over();
  __builtin_unreachable();
}

void arrive(Barrier& barrier, unsigned expected, const char* kind, Site site) {
  if (barrier.count == 0)
    barrier.site = site;
  else if (!same(barrier.site, site))
    fail(std::string(kind) + " divergence: some threads are at " + place(barrier.site) +
         ", this one at " + place(site));
  if (++barrier.count == expected) {
    barrier.count = 0;
    ++barrier.generation;
    return;
  }
  Fiber& f = current();
  f.waits_for = &barrier.generation;
  f.seen = barrier.generation;
  f.site = site;
  change_over();
}

void fiber_main() {
  arrived(nullptr, &machine.scheduler_stack, &machine.scheduler_bytes);
  (*machine.thread)();
  Fiber& f = current();
  f.done = true;
  --machine.alive;
  change_over();
}

// Runs one fiber until it waits or ends.
void resume(unsigned index) {
  machine.current = index;
  Fiber& f = current();
  f.waits_for = nullptr;
  threadIdx = {index % blockDim.x, index / blockDim.x % blockDim.y,
               index / (blockDim.x * blockDim.y)};
  if (_setjmp(machine.scheduler) == 0) {
    leaving(&machine.scheduler_fake, f.stack.get(), kStackBytes);
    if (f.started) _longjmp(f.at, 1);
    f.started = true;
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.get();
    f.start.uc_stack.ss_size = kStackBytes;
    f.start.uc_link = nullptr;
    makecontext(&f.start, fiber_main, 0);
    setcontext(&f.start);
  }
  arrived(machine.scheduler_fake, nullptr, nullptr);
}

void begin_block() {
  machine.barrier = {};
  for (Warp& w : machine.warps) w.barrier = {};
  for (auto& [site, memory] : machine.shared) std::memset(memory.first.get(), 0xFF, memory.second);
  for (unsigned i = 0; i < machine.size; ++i) {
    Fiber& f = *machine.fibers[i];
    f.started = f.done = false;
    f.waits_for = nullptr;
  }
  machine.alive = machine.size;
}

// Who waits, for the error when nobody can go on.
std::string waiting() {
  for (unsigned i = 0; i < machine.size; ++i)
    if (!machine.fibers[i]->done)
      return "thread " + std::to_string(i) + " waits at " + place(machine.fibers[i]->site) +
             " for threads that never come (" + std::to_string(machine.size - machine.alive) +
             " of " + std::to_string(machine.size) + " have left)";
  return "";
}

// Runs those of `order` that can go on, once each. False where none could.
bool sweep(const std::vector<unsigned>& order) {
  bool progress = false;
  for (const unsigned i : order) {
    const Fiber& f = *machine.fibers[i];
    if (f.done || (f.waits_for && *f.waits_for == f.seen)) continue;
    progress = true;
    resume(i);
    if (!machine.failure.empty()) return false;
  }
  return progress;
}

// A warp after the other, each as far as it comes alone: to the next barrier of the block. Shows
// what happens when a warp runs ahead of the others.
bool sweep_warps() {
  std::vector<unsigned> warps(machine.warps.size());
  for (size_t w = 0; w < warps.size(); ++w) warps[w] = unsigned(w);
  shuffle_order(warps);
  bool progress = false;
  for (const unsigned w : warps) {
    std::vector<unsigned> order;
    for (unsigned i = w * kWarp; i < machine.size && i < (w + 1) * kWarp; ++i) order.push_back(i);
    shuffle_order(order);
    while (sweep(order)) progress = true;
    if (!machine.failure.empty()) return false;
  }
  return progress;
}

void run_block() {
  begin_block();
  const bool by_warps = machine.seed > 0 && machine.seed % 2 == 0;
  std::vector<unsigned> order(machine.size);
  for (unsigned i = 0; i < machine.size; ++i) order[i] = i;
  while (machine.alive > 0) {
    shuffle_order(order);
    const bool progress = by_warps ? sweep_warps() : sweep(order);
    if (!machine.failure.empty()) return;
    if (!progress)
      machine.failure = std::string(machine.kernel) + ": barrier divergence: " + waiting();
  }
}

}  // namespace

void set_seed(uint64_t seed) { machine.seed = machine.state = seed; }

unsigned lane() { return machine.current % kWarp; }

void block_barrier(Site site) { arrive(machine.barrier, machine.size, "barrier", site); }

const char* warp_exchange(const void* mine, size_t bytes, Site site) {
  if (machine.size % kWarp != 0) fail("a warp operation in a block of no whole warps");
  if (bytes > kSlotBytes) fail("a warp operation on too many bytes");
  Warp& warp = machine.warps[machine.current / kWarp];
  char* slots = warp.slots[warp.barrier.generation % 2];
  std::memcpy(slots + lane() * bytes, mine, bytes);
  arrive(warp.barrier, kWarp, "warp", site);
  return slots;
}

void* shared_array(size_t bytes, Site site) {
  auto& memory = machine.shared[{site.file, site.line}];
  if (!memory.first) {
    memory.first.reset(new char[bytes]);
    memory.second = bytes;
    std::memset(memory.first.get(), 0xFF, bytes);
  }
  if (memory.second != bytes) fail("two sizes of one shared array at " + place(site));
  return memory.first.get();
}

void launch(const char* kernel, dim3 grid, dim3 block, const std::function<void()>& thread) {
  machine.kernel = kernel;
  machine.thread = &thread;
  machine.size = block.x * block.y * block.z;
  machine.failure.clear();
  machine.shared.clear();  // arrays of a template have one place and many sizes
  if (machine.size == 0 || machine.size > 1024)
    throw Error(std::string(kernel) + ": a block of " + std::to_string(machine.size) + " threads");
  if (grid.y > 65535 || grid.z > 65535)
    throw Error(std::string(kernel) + ": more than 65535 blocks along y or z");
  while (machine.fibers.size() < machine.size) machine.fibers.push_back(std::make_unique<Fiber>());
  machine.warps.resize((machine.size + kWarp - 1) / kWarp);
  gridDim = grid;
  blockDim = block;
  std::vector<unsigned> order(size_t(grid.x) * grid.y * grid.z);
  for (size_t i = 0; i < order.size(); ++i) order[i] = unsigned(i);
  shuffle_order(order);
  for (const unsigned i : order) {
    blockIdx = {i % grid.x, i / grid.x % grid.y, i / (grid.x * grid.y)};
    run_block();
    if (!machine.failure.empty()) throw Error(machine.failure);
  }
}

}  // namespace reasonrec::emu
