// What this machine can do at most, measured where the engine runs: bytes read per second from
// memory, and multiply-adds of registers per second in fp32 and (where there is an instruction for
// it) in bf16 pairs. Benches divide by these; nothing else depends on them.
#pragma once
#include "core/thread_pool.h"

namespace reasonrec {

struct Ceilings {
  double read = 0;  // bytes per second, all threads reading arrays of `bytes` together
  double fp32 = 0;  // floating-point operations per second, a multiply-add counts as two
  double bf16 = 0;  // the same of bf16 pairs with fp32 sums; 0: no such instruction
  double int8 = 0;  // operations per second of 8-bit products with 32-bit sums; 0: none
};

// `seconds` for each of the four; the best of several short runs. `bytes`: beyond every cache.
Ceilings measure_ceilings(ThreadPool&, double seconds, int64_t bytes);

}  // namespace reasonrec
