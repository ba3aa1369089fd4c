// C (m, n) = start + sum of products, terms in order (backend.h's gemm): a weight and its adapters
// in one kernel, [W | B_0 | B_1] [x ; u_0 ; u_1].
//
// Two tile shapes: 128 x 128 with 8 warps for many rows, 16 x 64 with 4 warps for a decoding step.
// Bits do not depend on the shape (tile_product.cuh). No split along k, no atomics.
// FLOPs 2 m n k, bytes (m k + n k + m n) values: above about 206 FLOP per byte bound by the matrix
// units, below by the weights. This is the plain path: mma.sync, one step of shared memory, no
// asynchronous copies; it is what everything else is measured against.
#include "backend/cuda/gemm.cuh"

#include "backend/cuda/device/tile_product.cuh"

namespace reasonrec::cuda {
namespace {

constexpr int64_t kFewRows = 64;

struct Terms {
  GemmTerm term[kMaxGemmTerms];
  int count;
};

template <class T, class C, int BM, int BN, int WM, int WN>
__global__ void __launch_bounds__(WM * WN * 32)
    gemm_kernel(C* c, int64_t ldc, int64_t m, int64_t n, Terms terms, GemmStart start,
                const float* bias) {
  using Tile = TileProduct<T, BM, BN, WM, WN>;
  RR_SHARED(T, shared, Tile::kSharedValues);
  const int64_t column = int64_t(blockIdx.x) * BN, row = int64_t(blockIdx.y) * BM;
  Tile tile;
  RR_UNROLL
  for (int i = 0; i < Tile::kRowTiles; ++i) RR_UNROLL
  for (int j = 0; j < Tile::kColumnTiles; ++j) RR_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int64_t r = row + Tile::row_of(i, e), col = column + Tile::column_of(j, e);
    float first = 0;
    if (r < m && col < n) {
      if (start == kStartBias) first = bias[col];
      if (start == kStartAccumulate) first = widen(c[r * ldc + col]);
    }
    tile.acc[i][j][e] = first;
  }
  for (int t = 0; t < terms.count; ++t) {
    const GemmTerm& term = terms.term[t];
    const Operand<T> a{static_cast<const T*>(term.a), term.a_stride, term.a_transposed != 0, m,
                       term.k};
    const Operand<T> b{static_cast<const T*>(term.b), term.b_stride, term.b_transposed != 0, n,
                       term.k};
    tile.add(shared, a, b, row, column);
  }
  RR_UNROLL
  for (int i = 0; i < Tile::kRowTiles; ++i) RR_UNROLL
  for (int j = 0; j < Tile::kColumnTiles; ++j) RR_UNROLL
  for (int e = 0; e < 4; ++e) {
    const int64_t r = row + Tile::row_of(i, e), col = column + Tile::column_of(j, e);
    if (r < m && col < n) c[r * ldc + col] = narrow<C>(tile.acc[i][j][e]);
  }
}

template <class T, class C, int BM, int BN, int WM, int WN>
void launch(Stream stream, C* c, int64_t ldc, int64_t m, int64_t n, const Terms& terms,
            GemmStart start, const float* bias) {
  RR_LAUNCH((gemm_kernel<T, C, BM, BN, WM, WN>), dim3(blocks_for(n, BN), blocks_for(m, BM)),
            dim3(WM * WN * 32), native(stream), c, ldc, m, n, terms, start, bias);
}

}  // namespace

int32_t gemm(Stream stream, DataType type, DataType c_type, void* c, int64_t ldc, int64_t m,
             int64_t n, const GemmTerm* list, int32_t count, GemmStart start, const float* bias) {
  if (count < 0 || count > kMaxGemmTerms || (start == kStartBias && !bias))
    return cudaErrorInvalidValue;
  if (m == 0 || n == 0) return cudaSuccess;
  Terms terms{};
  terms.count = count;
  for (int t = 0; t < count; ++t) terms.term[t] = list[t];
  return with_type(type, [&](auto tag) {
    using T = decltype(tag);
    return with_type(c_type, [&](auto c_tag) {
      using C = decltype(c_tag);
      if (m > kFewRows)
        launch<T, C, 128, 128, 4, 2>(stream, static_cast<C*>(c), ldc, m, n, terms, start, bias);
      else
        launch<T, C, 16, 64, 1, 4>(stream, static_cast<C*>(c), ldc, m, n, terms, start, bias);
    });
  });
}

void fill_gemm(Table& table) { table.gemm = gemm; }

}  // namespace reasonrec::cuda
