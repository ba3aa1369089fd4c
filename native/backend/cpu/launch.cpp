// See launch.h.
#include "backend/cpu/launch.h"

#include "core/check.h"
#include "core/philox.h"

namespace reasonrec::cpu {

void launch(const Context& ctx, int64_t tasks, Task task, void* state) {
  if (tasks <= 1 || !ctx.pool) {
    for (int64_t i = 0; i < tasks; ++i) task(state, i, 0);
    return;
  }
  ctx.pool->parallel_for(tasks, [task, state](int64_t i, int worker) { task(state, i, worker); });
}

int workers(const Context& ctx) { return ctx.pool ? ctx.pool->size() : 1; }

float* scratch(const Context& ctx, const char* name, int64_t floats) {
  return ctx.scratch->floats(name, floats);
}

void random_words(uint32_t* four, uint64_t seed, uint64_t stream, uint64_t index) {
  const auto words = philox4x32(seed, stream, index);
  for (size_t i = 0; i < 4; ++i) four[i] = words[i];
}

void fail(const char* code, const char* what, const char* expected, int64_t got) {
  throw Error(code, what, expected, std::to_string(got));
}

}  // namespace reasonrec::cpu
