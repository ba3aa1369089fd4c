// One row of the sparse product; see candidate_users.h.
#include "graph/candidate_users.h"

#include <algorithm>
#include <cmath>

namespace reasonrec {

double rating_agreement(float a, float b, float span) {
  if (std::isnan(a) || std::isnan(b)) return 0.5;
  return 1 - std::fabs(double(a) - double(b)) / (1 + double(span));
}

void candidate_users(std::vector<Candidate>& out, const InteractionGraph& graph, const EdgeRow& own,
                     int32_t self, double before, int32_t least, CandidateScratch& scratch) {
  out.clear();
  scratch.counts.resize(size_t(graph.users()));
  scratch.agreements.resize(size_t(graph.users()));
  for (int64_t i = 0; i < own.size; ++i) {
    const EdgeRow others = graph.users_of(own.ids[i]);
    for (int64_t e = 0; e < others.size; ++e) {
      const int32_t user = others.ids[e];
      if (user == self || !(others.times[e] < before)) continue;
      if (scratch.counts[size_t(user)]++ == 0) out.push_back({user, 0, 0});
      scratch.agreements[size_t(user)] +=
          rating_agreement(own.ratings[i], others.ratings[e], graph.rating_span());
    }
  }
  size_t kept = 0;
  for (const Candidate& met : out) {
    int32_t& count = scratch.counts[size_t(met.user)];
    double& agreement = scratch.agreements[size_t(met.user)];
    if (count >= least) out[kept++] = {met.user, count, agreement};
    count = 0;
    agreement = 0;
  }
  out.resize(kept);
  std::sort(out.begin(), out.end(),
            [](const Candidate& a, const Candidate& b) { return a.user < b.user; });
}

}  // namespace reasonrec
