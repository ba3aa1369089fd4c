// One function per instruction set: its table, or null where it is not compiled in or this machine
// cannot run it.
#pragma once
#include "backend/backend.h"

namespace reasonrec {

const Kernels* scalar_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* avx512bf16_kernels();

}  // namespace reasonrec
