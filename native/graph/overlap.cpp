// Three ways to the same list: bits against bits, a scan of the other's row, or u0's few items
// looked up in a long row; see overlap.h.
#include "graph/overlap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "graph/candidate_users.h"

namespace reasonrec {

Overlap::Overlap(const InteractionGraph& graph, const OwnSource& source,
                 std::span<const int32_t> barred, int32_t target, double before, double limit,
                 OverlapScratch& scratch)
    : graph_(graph), s_(scratch), limit_(limit), barred_(barred), target_(target) {
  s_.marks.resize(size_t(graph.items()));
  s_.bits.resize(size_t(graph.words()));
  marks_ = s_.marks.data();
  s_.items.clear();
  s_.ratings.clear();
  s_.times.clear();
  s_.barred_places.clear();
  for (int32_t item : barred_) marks_[item] = OverlapScratch::kBarred;
  if (target_ >= 0) marks_[target_] = OverlapScratch::kBarred;
  if (source.given) {
    s_.order.resize(source.items.size());
    std::iota(s_.order.begin(), s_.order.end(), 0);
    std::stable_sort(s_.order.begin(), s_.order.end(), [&](int32_t a, int32_t b) {
      return source.items[size_t(a)] < source.items[size_t(b)];
    });
    int32_t last = -1;
    for (int32_t place : s_.order) {
      const size_t e = size_t(place);
      if (source.items[e] == last) continue;
      last = source.items[e];
      take({&source.items[e], &source.ratings[e], &source.times[e], 1}, before);
    }
  } else if (source.user >= 0 && before < std::numeric_limits<double>::infinity()) {
    take(graph.items_of(source.user), before);
  } else if (source.user >= 0) {
    own_ = graph.items_of(source.user);  // in place: nothing to leave out but barred items
    ranks_ = graph.ranks_of(source.user);
  }
  if (ranks_ == nullptr)
    own_ = {s_.items.data(), s_.ratings.data(), s_.times.data(), int64_t(s_.items.size())};
  for (int64_t place = 0; place < own_.size; ++place) {
    const int32_t item = own_.ids[place];
    if (marks_[item] == OverlapScratch::kBarred) {
      s_.barred_places.push_back(int32_t(place));
      continue;
    }
    marks_[item] = int32_t(place) + 1;
    s_.bits[size_t(item >> 6)] |= uint64_t(1) << (item & 63);
  }
  usable_ = own_.size - int64_t(s_.barred_places.size());
}

Overlap::~Overlap() {
  for (int64_t place = 0; place < own_.size; ++place) {
    marks_[own_.ids[place]] = 0;
    s_.bits[size_t(own_.ids[place] >> 6)] = 0;
  }
  for (int32_t item : barred_) marks_[item] = 0;
  if (target_ >= 0) marks_[target_] = 0;
}

void Overlap::take(const EdgeRow& from, double before) {
  for (int64_t e = 0; e < from.size; ++e) {
    if (!(from.times[e] < before) || barred(from.ids[e])) continue;
    s_.items.push_back(from.ids[e]);
    s_.ratings.push_back(from.ratings[e]);
    s_.times.push_back(from.times[e]);
  }
}

EdgeRow Overlap::counting() {
  if (ranks_ != nullptr && !s_.barred_places.empty() && s_.items.empty()) take(own_, INFINITY);
  const bool copied = ranks_ == nullptr || !s_.barred_places.empty();
  if (!copied) return own_;
  return {s_.items.data(), s_.ratings.data(), s_.times.data(), int64_t(s_.items.size())};
}

// Ranks of edges that are not the graph's row.
void Overlap::rank() {
  const size_t n = s_.items.size();
  s_.order.resize(n);
  std::iota(s_.order.begin(), s_.order.end(), 0);
  std::stable_sort(s_.order.begin(), s_.order.end(),
                   [&](int32_t a, int32_t b) { return s_.times[size_t(a)] > s_.times[size_t(b)]; });
  s_.ranks.resize(n);
  for (size_t rank = 0; rank < n; ++rank) s_.ranks[size_t(s_.order[rank])] = int32_t(rank);
  ranks_ = s_.ranks.data();
}

double Overlap::recency(int32_t place) {
  if (ranks_ == nullptr) rank();
  int32_t later = ranks_[place];
  for (int32_t barred : s_.barred_places) later -= ranks_[barred] < ranks_[place] ? 1 : 0;
  return 1 / (1 + double(later));
}

int32_t Overlap::count(int32_t user) {
  user_ = user;
  listed_ = false;
  const uint64_t* theirs = graph_.bits_of(user);
  if (theirs != nullptr && limit_ == std::numeric_limits<double>::infinity())
    return counted_ = count_common(s_.bits.data(), theirs, graph_.words());
  list_shared();
  return counted_;
}

Shared Overlap::at(int32_t n) const {
  if (listed_) return s_.shared[size_t(n)];
  const CommonItem one = nth_common(s_.bits.data(), graph_.bits_of(user_), graph_.words(), n);
  return {place_of(one.item), one.place};
}

const std::vector<Shared>& Overlap::list() {
  if (!listed_) list_shared();
  return s_.shared;
}

void Overlap::list_shared() {
  const EdgeRow theirs = graph_.items_of(user_);
  const size_t most = size_t(std::min(own_.size, theirs.size));
  if (s_.shared.size() < most + 1) s_.shared.resize(most + 1);  // one is written and not counted
  std::vector<Shared>& shared = s_.shared;
  int32_t n = 0;
  if (const uint64_t* bits = graph_.bits_of(user_)) {
    if (s_.common.size() < most) s_.common.resize(most);
    n = list_common(s_.common.data(), s_.bits.data(), bits, graph_.words());
    for (int32_t i = 0; i < n; ++i)
      shared[size_t(i)] = {place_of(s_.common[size_t(i)].item), s_.common[size_t(i)].place};
  } else if (theirs.size <= 16 * own_.size) {
    for (int64_t e = 0; e < theirs.size; ++e) {
      const int32_t mark = marks_[theirs.ids[e]];
      shared[size_t(n)] = {mark - 1, int32_t(e)};
      n += mark > 0 ? 1 : 0;
    }
  } else {
    for (int64_t i = 0; i < own_.size; ++i) {
      const int32_t* at = std::lower_bound(theirs.ids, theirs.ids + theirs.size, own_.ids[i]);
      if (at == theirs.ids + theirs.size || *at != own_.ids[i] || !has(*at)) continue;
      shared[size_t(n++)] = {int32_t(i), int32_t(at - theirs.ids)};
    }
  }
  if (limit_ < std::numeric_limits<double>::infinity()) {
    const auto late = [&](const Shared& one) { return !(theirs.times[one.edge] < limit_); };
    n = int32_t(std::remove_if(shared.begin(), shared.begin() + n, late) - shared.begin());
  }
  counted_ = n;
  listed_ = true;
}

double Overlap::agreement() {
  const std::vector<Shared>& shared = list();
  const EdgeRow theirs = graph_.items_of(user_);
  double sum = 0;
  for (int32_t n = 0; n < counted_; ++n) {
    const Shared& one = shared[size_t(n)];
    sum += rating_agreement(own_.ratings[one.own], theirs.ratings[one.edge], graph_.rating_span());
  }
  return sum / counted_;
}

}  // namespace reasonrec
