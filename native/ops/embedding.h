// y[t] = table[ids[t]]. Backward: dtable[ids[t]] += dy[t], t ascending for every id (a fixed-order
// scatter-add, so the gradient has the same bits for any thread count and any split into
// micro-batches).
#pragma once
#include "backend/backend.h"

namespace reasonrec {

inline void embedding_forward(const Context& ctx, float* y, const int32_t* ids, const Table& table,
                              int64_t t, int64_t h) {
  ctx.kernels->embedding_forward(ctx, y, ids, table, t, h);
}
inline void embedding_backward(const Context& ctx, float* dtable, const int32_t* ids,
                               const float* dy, int64_t t, int64_t h) {
  ctx.kernels->embedding_backward(ctx, dtable, ids, dy, t, h);
}

namespace reference {
void embedding(double* y, const int32_t* ids, const double* table, int64_t t, int64_t h);
}
}  // namespace reasonrec
