// The user-item graph of R2Rec, in compressed rows both ways: each user's items and each item's
// users, with rating and time per edge. Built once, never changed; 44 to 48 bytes per edge: rows
// that take less room as bits than as ids are there as bits too.
//
// An edge is a pair (user, item). Where a pair occurs several times, the earliest occurrence is
// kept: it is the one that is known at every later moment, so a filter by time never has to choose.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reasonrec {

// Interactions in any order; four columns of one length. rating NaN: none.
struct Edges {
  std::vector<int32_t> users, items;
  std::vector<float> ratings;
  std::vector<double> times;
};

// One row: ids ascending and different, ratings and times beside them.
struct EdgeRow {
  const int32_t* ids = nullptr;
  const float* ratings = nullptr;
  const double* times = nullptr;
  int64_t size = 0;
};

class InteractionGraph {
 public:
  // Throws RR_BAD_GRAPH for ids outside [0, users) and [0, items), columns of different lengths, or
  // a time that is not a number.
  InteractionGraph(int32_t users, int32_t items, const Edges&);

  int32_t users() const { return users_; }
  int32_t items() const { return items_; }
  int64_t edges() const { return int64_t(by_user_.ids.size()); }
  int64_t bytes() const;  // of the rows
  // Largest minus smallest rating; 0 without ratings.
  float rating_span() const { return rating_span_; }

  EdgeRow items_of(int32_t user) const { return by_user_.row(user); }
  EdgeRow users_of(int32_t item) const { return by_item_.row(item); }
  int64_t degree(int32_t user) const { return by_user_.row(user).size; }
  // A user's items as bits, words() of them; null for a row too short for that.
  const uint64_t* bits_of(int32_t user) const {
    const int64_t at = bits_at_[std::size_t(user)];
    return at < 0 ? nullptr : bits_.data() + at;
  }
  int64_t words() const { return (int64_t(items_) + 63) / 64; }
  // Per edge of a user, how many of his are later; of equal times the smaller item goes first.
  const int32_t* ranks_of(int32_t user) const {
    return ranks_.data() + by_user_.offsets[std::size_t(user)];
  }
  // How many items the user chose strictly before `time`.
  int64_t degree_before(int32_t user, double time) const;

 private:
  struct Rows {
    std::vector<int64_t> offsets;  // (rows + 1)
    std::vector<int32_t> ids;      // (edges)
    std::vector<float> ratings;    // (edges)
    std::vector<double> times;     // (edges)
    EdgeRow row(int32_t index) const {
      const int64_t begin = offsets[std::size_t(index)];
      return {ids.data() + begin, ratings.data() + begin, times.data() + begin,
              offsets[std::size_t(index) + 1] - begin};
    }
  };
  void add_bits();
  void add_times();
  int32_t users_, items_;
  Rows by_user_, by_item_;
  std::vector<uint64_t> bits_;
  std::vector<int64_t> bits_at_;      // (users): place in bits_, -1: none
  std::vector<int32_t> ranks_;        // (edges), by_user_'s order
  std::vector<double> sorted_times_;  // by_user_'s times, ascending within each user
  float rating_span_ = 0;
};

}  // namespace reasonrec
