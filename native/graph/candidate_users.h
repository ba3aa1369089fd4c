// The intermediate users of a chain. With B the binary user-item matrix, a row of C = B B^T counts
// the items that u0 shares with everybody:
//
//   C[u0, u1] = sum over i in I_u0 of B[u1, i]          U_cand(u0) = {u1 != u0 : C[u0, u1] >= 2}
//
// which is the union over pairs i_p != i_q of I_u0 of the users who have both. One row costs the
// sum of the degrees of u0's items; C itself is never held. Beside each count stands how far the
// two agree on what they share: the mean of 1 - |r0 - r1| / (1 + span) over the shared items, 1/2
// where one of the two gave no rating. It is never 0, so nobody is ruled out by taste alone.
#pragma once
#include <cstdint>
#include <vector>

#include "graph/interaction_graph.h"

namespace reasonrec {

struct Candidate {
  int32_t user;
  int32_t shared;    // C[u0, user]
  double agreement;  // sum over the shared items, added in ascending order of item
};

// Agreement on one item, in (0, 1].
double rating_agreement(float a, float b, float span);

// Memory of one row, all zero between calls.
struct CandidateScratch {
  std::vector<int32_t> counts;     // (users)
  std::vector<double> agreements;  // (users)
};

// Users other than `self` (-1: none) with at least `least` of the items of `own`, ascending. `own`
// is u0's row, which need not be the graph's; of the others' edges only those before `before`
// count.
void candidate_users(std::vector<Candidate>& out, const InteractionGraph&, const EdgeRow& own,
                     int32_t self, double before, int32_t least, CandidateScratch&);

}  // namespace reasonrec
