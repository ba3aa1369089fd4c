// The matrix product for other kernel files; see table.h.
#pragma once
#include "backend/cuda/table.h"

namespace reasonrec::cuda {

int32_t gemm(Stream, DataType type, DataType c_type, void* c, int64_t ldc, int64_t m, int64_t n,
             const GemmTerm* terms, int32_t count, GemmStart start, const float* bias);

}  // namespace reasonrec::cuda
