// See refusal_limits.h and allocations.h. The replaced operators are those of the whole program.
#include "refusal_limits.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "allocations.h"

namespace {
thread_local size_t largest = 0;
std::atomic<int64_t> made{0};
}  // namespace

void* operator new(size_t bytes) {
  largest = std::max(largest, bytes);
  made.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace reasonrec::test {

int64_t allocations() { return made.load(); }

size_t largest_allocation() {
  const size_t found = largest;
  largest = 0;
  return found;
}

}  // namespace reasonrec::test
