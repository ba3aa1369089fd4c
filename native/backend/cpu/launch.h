// How kernels reach threads and scratch memory, compiled once for every machine. Files under an
// instruction set's target pragma call these instead of std templates: a std function compiled for
// wide vectors could be the copy that the linker keeps for all.
#pragma once
#include <cstdint>

#include "backend/backend.h"

namespace reasonrec::cpu {

using Task = void (*)(void* state, int64_t task, int worker);
void launch(const Context&, int64_t tasks, Task, void* state);
int workers(const Context&);
float* scratch(const Context&, const char* name, int64_t floats);
void random_words(uint32_t* four, uint64_t seed, uint64_t stream, uint64_t index);  // Philox
[[noreturn]] void fail(const char* code, const char* what, const char* expected, int64_t got);

// body(task, worker) for every task in [0, tasks).
template <class Body>
inline void parallel(const Context& ctx, int64_t tasks, const Body& body) {
  launch(
      ctx, tasks,
      [](void* state, int64_t task, int worker) {
        (*static_cast<const Body*>(state))(task, worker);
      },
      const_cast<Body*>(&body));
}

}  // namespace reasonrec::cpu
