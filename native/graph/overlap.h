// What one user u0 shares with others, edge by edge: u0's side is laid out once per query (places,
// bits, recency), then any number of others are held against it. Of u0's edges those count that are
// earlier than the query's time and whose item no chain is barred from naming; of the others' those
// before `limit`.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "graph/bit_rows.h"
#include "graph/interaction_graph.h"

namespace reasonrec {

// An item that both have.
struct Shared {
  int32_t own;   // place in u0's edges
  int32_t edge;  // place in the other's row
};

// Memory of one worker; marks and bits are all zero between queries.
struct OverlapScratch {
  static constexpr int32_t kBarred = -1;
  std::vector<int32_t> marks;  // (items): place in u0's edges + 1, kBarred, or 0
  std::vector<uint64_t> bits;  // (items / 64): items of u0 that count
  std::vector<int32_t> items, ranks, order;
  std::vector<float> ratings;
  std::vector<double> times;
  std::vector<int32_t> barred_places;
  std::vector<Shared> shared;
  std::vector<CommonItem> common;
};

// u0's edges: those of the graph, or given ones in any order, of which the first of equal items
// stays.
struct OwnSource {
  int32_t user = -1;
  bool given = false;
  std::span<const int32_t> items;
  std::span<const float> ratings;
  std::span<const double> times;
};

class Overlap {
 public:
  Overlap(const InteractionGraph&, const OwnSource&, std::span<const int32_t> barred,
          int32_t target, double before, double limit, OverlapScratch&);
  ~Overlap();
  Overlap(const Overlap&) = delete;
  Overlap& operator=(const Overlap&) = delete;

  int64_t usable() const { return usable_; }  // edges of u0 that count
  bool barred(int32_t item) const { return marks_[item] == OverlapScratch::kBarred; }
  bool has(int32_t item) const { return marks_[item] > 0; }
  int32_t place_of(int32_t item) const { return marks_[item] - 1; }  // where has(item)
  // u0's edges by place; some of them may not count.
  const EdgeRow& own() const { return own_; }
  // Those that count, copied together.
  EdgeRow counting();
  // 1 / (1 + edges that count and are later; of equal times the smaller item goes first).
  double recency(int32_t place);

  // Holds `user` against u0: how many items they share.
  int32_t count(int32_t user);
  // Of the user counted last.
  int32_t counted() const { return counted_; }
  Shared at(int32_t n) const;
  const std::vector<Shared>& list();  // its first counted() values, ascending
  double agreement();                 // mean over the shared items, added in ascending order

 private:
  void take(const EdgeRow&, double before);
  void rank();
  void list_shared();
  const InteractionGraph& graph_;
  OverlapScratch& s_;
  int32_t* marks_;
  double limit_;
  EdgeRow own_;
  const int32_t* ranks_ = nullptr;
  int64_t usable_ = 0;
  std::span<const int32_t> barred_;
  int32_t target_;
  int32_t user_ = -1, counted_ = 0;
  bool listed_ = false;
};

}  // namespace reasonrec
