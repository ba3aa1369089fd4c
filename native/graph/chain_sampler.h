// One query's chains, drawn one after the other; chains.h states the law, chains.cpp runs many.
//
// u1 is proposed uniformly (over the users, or over the target's users) and accepted with its
// weight, which is at most 1 by the inequality of Cauchy and Schwarz; after too many refusals the
// candidates are listed (candidate_users.h) and one is drawn by its weight. Both give the same law,
// whichever happens when, because a refusal says nothing about who is accepted later. On dense
// graphs a chain costs a few scans of a user's row instead of a row of the sparse product.
//
// Longer chains (middles > 1) are walks from the closing end: i_k is the target or uniform over
// u0's items, u_k uniform over its users, i_{k-1} uniform over the items of u_k, and so on down to
// u_1, then i_0 uniform over what u_1 shares with u0. A walk that comes to a user or item twice, or
// ends without i_0, starts again, kWalks times at most.
#pragma once
#include <cstdint>
#include <vector>

#include "core/philox.h"
#include "graph/chains.h"
#include "graph/overlap.h"

namespace reasonrec {

// Numbers of one stream in order.
class Draws {
 public:
  Draws(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
  uint64_t bits() {
    if (left_ == 0) {
      block_ = philox4x32(seed_, stream_, index_++);
      left_ = 2;
    }
    --left_;
    return uint64_t(block_[size_t(2 * left_)]) | uint64_t(block_[size_t(2 * left_ + 1)]) << 32;
  }
  // [0, n); uneven by less than n / 2^64.
  int64_t below(int64_t n) {
    return int64_t((static_cast<unsigned __int128>(bits()) * uint64_t(n)) >> 64);
  }
  double uniform() { return double(bits() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  uint64_t seed_, stream_, index_ = 0;
  std::array<uint32_t, 4> block_{};
  int left_ = 0;
};

// Memory of one worker, used by one query after another.
struct ChainScratch {
  OverlapScratch overlap;
  std::vector<int32_t> used, outside;
  std::vector<Candidate> pool;
  std::vector<double> cumulative;  // of the pool's weights
  std::vector<double> weights;
  CandidateScratch candidates;
};

class ChainSampler {
 public:
  ChainSampler(const InteractionGraph&, const ChainOptions&, const ChainQuery&, ChainScratch&);

  // Writes at most query.count chains of `form`; returns how many there are.
  int32_t sample(ChainForm form, int32_t* users, int32_t* items, float* ratings);
  // The users that allow a chain of `form`, into scratch.pool; for kOpen without looking at i1.
  void list_candidates(ChainForm form);

 private:
  bool passed_over(int32_t user) const;
  int32_t least(ChainForm form) const;  // items a u1 must share
  bool list_outside(int32_t user);
  bool cheap_to_list(ChainForm form) const;
  int32_t propose(ChainForm form);
  int32_t next_user(ChainForm form);
  void prepare_pool(ChainForm form);
  int32_t draw_from_pool();
  void sum_weights();
  double weight(const Candidate&) const;
  Shared draw_shared(const Shared* except);
  bool write_chain(ChainForm form, int32_t user, int32_t* users, int32_t* items, float* ratings);
  bool walk(int32_t* users, int32_t* items);
  void rate_walk(const int32_t* users, const int32_t* items, float* ratings) const;
  float rating_of(int32_t user, int32_t item) const;

  const InteractionGraph& graph_;
  const ChainOptions& options_;
  const ChainQuery& query_;
  ChainScratch& scratch_;
  Draws draws_;
  double limit_;  // others' edges must be earlier
  Overlap overlap_;
  int64_t left_ = 0;  // of the pool
  bool listed_ = false;
};

}  // namespace reasonrec
