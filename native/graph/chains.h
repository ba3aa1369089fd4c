// Interaction chains of R2Rec: u0 - i0 - u1 - i1 - u0, users and items in turn, i0 != i1, u1 != u0,
// four labelled edges (u0,i0), (u1,i0), (u1,i1), (u0,i1). The last edge closes the chain.
//
// Two uses. Without a target, both items are u0's own and every edge is known. With a target, i1 is
// the target, whose edge to u0 is the question: u1 has the target and shares another item with u0,
// and the closing rating is not given even where the graph knows it.
//
//   faithful  u1 uniform over the users that allow a chain; items uniform over what u0 and u1 share
//   tuned     P(u1) ~ shared / sqrt(deg u0 deg u1) * mean agreement (candidate_users.h);
//             P(item) ~ 1 / (1 + number of u0's items chosen after it)
//
// No u1 comes twice in a query: after each draw the same law holds over the users that are left.
// Draws come from Philox(seed, stream of the query), so a query's chains depend on nothing else:
// neither on other queries nor on threads.
//
// Where a query has no closed chain, it may fall back to open ones: u1 shares at least one item,
// and i1 is an item of u1 that u0 does not have; nothing closes them.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/job.h"
#include "core/thread_pool.h"
#include "graph/candidate_users.h"
#include "graph/interaction_graph.h"

namespace reasonrec {

enum class ChainWeights : int8_t { kFaithful, kTuned };
enum class ChainForm : int8_t { kClosed, kOpen };

struct ChainOptions {
  uint64_t seed = 0;
  ChainWeights weights = ChainWeights::kFaithful;
  ChainForm form = ChainForm::kClosed;
  // kClosed only: open chains where there is no closed one.
  bool fall_back = true;
  // Times of different users compare; else `before` binds u0's own edges only.
  bool shared_clock = true;
  // Intermediate users; above 1 by a walk (chain_sampler.h), kClosed only.
  int32_t middles = 1;
  // Refusals before the candidates are listed; -1: by cost. Has no part in the law.
  int32_t proposals = -1;
};

struct ChainQuery {
  int32_t user = -1;    // u0's row in the graph, never taken for u1; -1: not in the graph
  int32_t target = -1;  // i1 of every chain; -1: closed over u0's own items
  int32_t count = 0;    // chains wanted
  uint64_t stream = 0;
  double before = std::numeric_limits<double>::infinity();  // every edge is strictly earlier
  // u0's edges where they are not those of the graph's row; the caller keeps the memory.
  bool own_given = false;
  std::span<const int32_t> own_items;  // any order; of equal ones the first stays
  std::span<const float> own_ratings;
  std::span<const double> own_times;
  std::span<const int32_t> excluded;  // items that no chain may name (the target always may)
};

enum class ChainOutcome : uint8_t { kClosed, kOpen, kNone };

// Chains of all queries, in their order. k = middles.
struct Chains {
  std::vector<int32_t> users;   // (chains, k): u1 .. uk
  std::vector<int32_t> items;   // (chains, k + 1): i0 .. ik
  std::vector<float> ratings;   // (chains, 2k + 2): edges in walking order; NaN: none, hidden
  std::vector<int32_t> counts;  // (queries): chains found
  std::vector<ChainOutcome> outcomes;  // (queries)
};

// Progress counts queries. Throws RR_BAD_ARGUMENT for ids outside the graph or bad counts.
Chains sample_chains(ThreadPool&, const InteractionGraph&, const std::vector<ChainQuery>&,
                     const ChainOptions&, const Job&);

// U_cand of a query (with a target: the users who have it and share another item), ascending.
std::vector<Candidate> chain_candidates(const InteractionGraph&, const ChainQuery&,
                                        bool shared_clock);

}  // namespace reasonrec
