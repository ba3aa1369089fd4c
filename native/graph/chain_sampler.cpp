// Drawing u1 and the items of one query's chains; see chain_sampler.h.
#include "graph/chain_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace reasonrec {
namespace {

constexpr int32_t kBarred = -1;           // items that no chain may name
constexpr int32_t kProposals = 64;        // refusals before the candidates are listed
constexpr int32_t kTunedProposals = 192;  // of the tuned law, which refuses more
constexpr int kRedraws = 16;  // draws of users already used before weights are summed anew
constexpr int kWalks = 256;
constexpr int32_t kManyChains = 64;      // from here on the candidates are listed at once
constexpr int64_t kShortProduct = 4096;  // a row of the product this cheap is computed at once
constexpr float kNoRating = std::numeric_limits<float>::quiet_NaN();

}  // namespace

ChainSampler::ChainSampler(const InteractionGraph& graph, const ChainOptions& options,
                           const ChainQuery& query, ChainScratch& scratch)
    : graph_(graph),
      options_(options),
      query_(query),
      scratch_(scratch),
      draws_(options.seed, query.stream),
      limit_(options.shared_clock ? query.before : std::numeric_limits<double>::infinity()) {
  scratch_.marks.resize(size_t(graph.items()));
  mark();
}

ChainSampler::~ChainSampler() {
  for (int32_t item : scratch_.own_items) scratch_.marks[size_t(item)] = 0;
  for (int32_t item : query_.excluded) scratch_.marks[size_t(item)] = 0;
  if (query_.target >= 0) scratch_.marks[size_t(query_.target)] = 0;
}

EdgeRow ChainSampler::own() const {
  return {scratch_.own_items.data(), scratch_.own_ratings.data(), scratch_.own_times.data(),
          int64_t(scratch_.own_items.size())};
}

// u0's edges that a chain may use, ascending by item.
void ChainSampler::take_own(const EdgeRow& from) {
  for (int64_t e = 0; e < from.size; ++e) {
    if (!(from.times[e] < query_.before) || scratch_.marks[size_t(from.ids[e])] == kBarred)
      continue;
    scratch_.own_items.push_back(from.ids[e]);
    scratch_.own_ratings.push_back(from.ratings[e]);
    scratch_.own_times.push_back(from.times[e]);
  }
}

void ChainSampler::mark() {
  ChainScratch& s = scratch_;
  s.own_items.clear();
  s.own_ratings.clear();
  s.own_times.clear();
  for (int32_t item : query_.excluded) s.marks[size_t(item)] = kBarred;
  if (query_.target >= 0) s.marks[size_t(query_.target)] = kBarred;
  if (!query_.own_given) {
    if (query_.user >= 0) take_own(graph_.items_of(query_.user));
  } else {
    const size_t n = query_.own_items.size();
    s.order.resize(n);
    std::iota(s.order.begin(), s.order.end(), 0);
    std::stable_sort(s.order.begin(), s.order.end(), [&](int32_t a, int32_t b) {
      return query_.own_items[size_t(a)] < query_.own_items[size_t(b)];
    });
    int32_t last = -1;
    for (int32_t place : s.order) {
      const size_t e = size_t(place);
      if (query_.own_items[e] == last) continue;
      last = query_.own_items[e];
      take_own({&query_.own_items[e], &query_.own_ratings[e], &query_.own_times[e], 1});
    }
  }
  const size_t n = s.own_items.size();
  for (size_t i = 0; i < n; ++i) s.marks[size_t(s.own_items[i])] = int32_t(i) + 1;
  if (options_.weights != ChainWeights::kTuned) return;
  s.order.resize(n);
  std::iota(s.order.begin(), s.order.end(), 0);
  std::stable_sort(s.order.begin(), s.order.end(), [&](int32_t a, int32_t b) {
    return s.own_times[size_t(a)] > s.own_times[size_t(b)];
  });
  s.recency.resize(n);
  for (size_t rank = 0; rank < n; ++rank) s.recency[size_t(s.order[rank])] = 1 / (1 + double(rank));
}

bool ChainSampler::passed_over(int32_t user) const {
  if (user == query_.user) return true;
  return std::find(scratch_.used.begin(), scratch_.used.end(), user) != scratch_.used.end();
}

// Fills scratch.shared with what they share, ascending, and returns how much. Scans their row, or
// looks for u0's few items in a long one: the same list either way.
int32_t ChainSampler::share(int32_t user) {
  const EdgeRow theirs = graph_.items_of(user);
  const EdgeRow mine = own();
  std::vector<Shared>& shared = scratch_.shared;
  const size_t most = size_t(std::min(mine.size, theirs.size));
  if (shared.size() < most + 1) shared.resize(most + 1);  // one place is written and not counted
  int32_t n = 0;
  if (theirs.size <= 16 * mine.size) {
    const int32_t* marks = scratch_.marks.data();
    for (int64_t e = 0; e < theirs.size; ++e) {
      const int32_t place = marks[theirs.ids[e]];
      shared[size_t(n)] = {place - 1, int32_t(e)};
      n += place > 0 ? 1 : 0;
    }
  } else {
    for (int64_t i = 0; i < mine.size; ++i) {
      const int32_t* at = std::lower_bound(theirs.ids, theirs.ids + theirs.size, mine.ids[i]);
      if (at == theirs.ids + theirs.size || *at != mine.ids[i]) continue;
      shared[size_t(n++)] = {int32_t(i), int32_t(at - theirs.ids)};
    }
  }
  if (limit_ < std::numeric_limits<double>::infinity()) {
    const auto late = [&](const Shared& one) { return !(theirs.times[one.edge] < limit_); };
    n = int32_t(std::remove_if(shared.begin(), shared.begin() + n, late) - shared.begin());
  }
  return shared_ = n;
}

// Mean over what they share, added in the order of candidate_users.
double ChainSampler::agreement(const EdgeRow& theirs) const {
  double sum = 0;
  for (int32_t n = 0; n < shared_; ++n) {
    const Shared& one = scratch_.shared[size_t(n)];
    sum += rating_agreement(scratch_.own_ratings[size_t(one.own)], theirs.ratings[one.edge],
                            graph_.rating_span());
  }
  return sum / shared_;
}

int32_t ChainSampler::least(ChainForm form) const {
  return form == ChainForm::kClosed && query_.target < 0 ? 2 : 1;
}

// Items of `user` that could end an open chain, into scratch.outside.
bool ChainSampler::list_outside(int32_t user) {
  const EdgeRow theirs = graph_.items_of(user);
  scratch_.outside.clear();
  for (int64_t e = 0; e < theirs.size; ++e)
    if (scratch_.marks[size_t(theirs.ids[e])] == 0 && theirs.times[e] < limit_)
      scratch_.outside.push_back(int32_t(e));
  return !scratch_.outside.empty();
}

// ---- u1 -----------------------------------------------------------------------------------------

// The weight of the tuned law, up to a factor that is the same for everybody; at most 1.
double ChainSampler::weight(const Candidate& candidate) const {
  if (options_.weights == ChainWeights::kFaithful) return 1;
  const double degree = double(graph_.degree_before(candidate.user, limit_));
  return candidate.agreement / std::sqrt(degree * double(scratch_.own_items.size()));
}

void ChainSampler::list_candidates(ChainForm form) {
  ChainScratch& s = scratch_;
  if (form == ChainForm::kOpen || query_.target < 0) {
    candidate_users(s.pool, graph_, own(), query_.user, limit_, least(form), s.candidates);
    return;
  }
  s.pool.clear();
  const EdgeRow raters = graph_.users_of(query_.target);
  for (int64_t e = 0; e < raters.size; ++e) {
    const int32_t user = raters.ids[e];
    if (user == query_.user || !(raters.times[e] < limit_)) continue;
    if (const int32_t n = share(user))
      s.pool.push_back({user, n, agreement(graph_.items_of(user)) * n});
  }
}

// Is listing at once cheaper than proposing?
bool ChainSampler::cheap_to_list(ChainForm form) const {
  if (options_.proposals >= 0) return options_.proposals == 0;
  if (query_.count > kManyChains) return true;
  if (form == ChainForm::kClosed && query_.target >= 0)
    return graph_.users_of(query_.target).size <= kProposals / 4;
  int64_t product = 0;
  for (int32_t item : scratch_.own_items)
    if ((product += graph_.users_of(item).size) > kShortProduct) return false;
  return true;
}

// One proposal: a user who allows a chain, or -1. What they share is in scratch.shared.
int32_t ChainSampler::propose(ChainForm form) {
  int32_t user;
  if (form == ChainForm::kClosed && query_.target >= 0) {
    const EdgeRow raters = graph_.users_of(query_.target);
    if (raters.size == 0) return -1;
    const int64_t at = draws_.below(raters.size);
    if (!(raters.times[at] < limit_)) return -1;
    user = raters.ids[at];
  } else {
    user = int32_t(draws_.below(graph_.users()));
  }
  if (passed_over(user)) return -1;
  if (options_.weights == ChainWeights::kFaithful) return share(user) >= least(form) ? user : -1;
  // In two steps, so that most refusals need no scan: shared <= min(degree, own).
  const double degree = double(graph_.degree_before(user, limit_));
  const double mine = double(scratch_.own_items.size());
  const double bound = std::min(degree, mine);
  if (!(draws_.uniform() * std::sqrt(degree * mine) < bound)) return -1;
  if (share(user) < least(form)) return -1;
  const double agreed = agreement(graph_.items_of(user)) * shared_;
  return draws_.uniform() * bound < agreed ? user : -1;
}

// The next u1 by the law over the users that are left, with scratch.shared; -1: nobody is left.
int32_t ChainSampler::next_user(ChainForm form) {
  if (scratch_.own_items.empty()) return -1;
  if (!listed_ && scratch_.used.size() <= size_t(kManyChains)) {
    const bool tuned = options_.weights == ChainWeights::kTuned;
    const int32_t by_law = tuned ? kTunedProposals : kProposals;
    const int32_t most = options_.proposals >= 0 ? options_.proposals : by_law;
    for (int32_t tries = 0; tries < most; ++tries) {
      const int32_t user = propose(form);
      if (user >= 0) return user;
    }
  }
  if (!listed_) prepare_pool(form);
  const int32_t user = draw_from_pool();
  if (user >= 0) share(user);
  return user;
}

void ChainSampler::prepare_pool(ChainForm form) {
  ChainScratch& s = scratch_;
  list_candidates(form);
  const auto taken = [&](const Candidate& candidate) { return passed_over(candidate.user); };
  if (!s.used.empty())
    s.pool.erase(std::remove_if(s.pool.begin(), s.pool.end(), taken), s.pool.end());
  for (Candidate& candidate : s.pool) candidate.agreement = weight(candidate);
  listed_ = true;
  sum_weights();
}

// From here on a candidate's `agreement` is its weight, 0 once it was drawn.
void ChainSampler::sum_weights() {
  ChainScratch& s = scratch_;
  const auto gone = [](const Candidate& candidate) { return candidate.agreement == 0; };
  s.pool.erase(std::remove_if(s.pool.begin(), s.pool.end(), gone), s.pool.end());
  s.cumulative.resize(s.pool.size());
  double sum = 0;
  for (size_t i = 0; i < s.pool.size(); ++i) s.cumulative[i] = sum += s.pool[i].agreement;
  left_ = int64_t(s.pool.size());
}

int32_t ChainSampler::draw_from_pool() {
  ChainScratch& s = scratch_;
  if (left_ == 0) return -1;
  for (int redraws = 0;; ++redraws) {
    if (redraws == kRedraws) sum_weights();
    const double mark = draws_.uniform() * s.cumulative.back();
    const auto at = std::upper_bound(s.cumulative.begin(), s.cumulative.end(), mark);
    const size_t index = std::min(size_t(at - s.cumulative.begin()), s.pool.size() - 1);
    Candidate& drawn = s.pool[index];
    if (drawn.agreement == 0) continue;
    drawn.agreement = 0;
    --left_;
    return drawn.user;
  }
}

// ---- items --------------------------------------------------------------------------------------

// One of the shared items other than `except`, by the law of the weights.
ChainScratch::Shared ChainSampler::draw_shared(const Shared* except) {
  const auto barred = [&](const Shared& one) { return except && one.own == except->own; };
  const std::vector<Shared>& shared = scratch_.shared;
  if (options_.weights == ChainWeights::kFaithful) {
    size_t at = size_t(draws_.below(shared_ - (except ? 1 : 0)));
    for (size_t i = 0; except && i <= at && i < size_t(shared_); ++i)
      if (barred(shared[i])) return shared[at + 1];
    return shared[at];
  }
  double total = 0;
  for (int32_t i = 0; i < shared_; ++i)
    if (!barred(shared[size_t(i)])) total += scratch_.recency[size_t(shared[size_t(i)].own)];
  double mark = draws_.uniform() * total;
  Shared last{};
  for (int32_t i = 0; i < shared_; ++i) {
    const Shared& one = shared[size_t(i)];
    if (barred(one)) continue;
    last = one;
    mark -= scratch_.recency[size_t(one.own)];
    if (mark < 0) break;
  }
  return last;
}

float ChainSampler::rating_of(int32_t user, int32_t item) const {
  const EdgeRow row = graph_.items_of(user);
  const int32_t* at = std::lower_bound(row.ids, row.ids + row.size, item);
  return at != row.ids + row.size && *at == item ? row.ratings[at - row.ids] : kNoRating;
}

// u1 and what it shares are known; false where an open chain finds no end.
bool ChainSampler::write_chain(ChainForm form, int32_t user, int32_t* users, int32_t* items,
                               float* ratings) {
  if (form == ChainForm::kOpen && !list_outside(user)) return false;
  const EdgeRow theirs = graph_.items_of(user);
  const Shared first = draw_shared(nullptr);
  users[0] = user;
  items[0] = scratch_.own_items[size_t(first.own)];
  ratings[0] = scratch_.own_ratings[size_t(first.own)];
  ratings[1] = theirs.ratings[first.edge];
  ratings[3] = kNoRating;
  if (form == ChainForm::kOpen) {
    const int64_t end = draws_.below(int64_t(scratch_.outside.size()));
    const int32_t edge = scratch_.outside[size_t(end)];
    items[1] = theirs.ids[edge];
    ratings[2] = theirs.ratings[edge];
  } else if (query_.target >= 0) {
    items[1] = query_.target;
    ratings[2] = rating_of(user, query_.target);
  } else {
    const Shared second = draw_shared(&first);
    items[1] = scratch_.own_items[size_t(second.own)];
    ratings[2] = theirs.ratings[second.edge];
    ratings[3] = scratch_.own_ratings[size_t(second.own)];
  }
  return true;
}

// ---- longer chains ------------------------------------------------------------------------------

// One walk; see the head of chain_sampler.h. users u1..uk, items i0..ik.
bool ChainSampler::walk(int32_t* users, int32_t* items) {
  const int32_t k = options_.middles;
  const std::vector<int32_t>& mine = scratch_.own_items;
  items[k] = query_.target >= 0 ? query_.target : mine[size_t(draws_.below(int64_t(mine.size())))];
  for (int32_t j = k; j >= 1; --j) {
    const EdgeRow raters = graph_.users_of(items[j]);
    if (raters.size == 0) return false;
    const int64_t at = draws_.below(raters.size);
    const int32_t user = raters.ids[at];
    if (user == query_.user || !(raters.times[at] < limit_)) return false;
    if (std::find(users + j, users + k, user) != users + k) return false;
    users[j - 1] = user;
    if (j == 1) break;
    const EdgeRow theirs = graph_.items_of(user);
    const int64_t edge = draws_.below(theirs.size);
    items[j - 1] = theirs.ids[edge];
    if (!(theirs.times[edge] < limit_) || scratch_.marks[size_t(items[j - 1])] == kBarred)
      return false;
    if (std::find(items + j, items + k + 1, items[j - 1]) != items + k + 1) return false;
  }
  if (passed_over(users[0]) || share(users[0]) == 0) return false;
  const Shared first = draw_shared(nullptr);
  items[0] = mine[size_t(first.own)];
  return std::find(items + 1, items + k + 1, items[0]) == items + k + 1;
}

void ChainSampler::rate_walk(const int32_t* users, const int32_t* items, float* ratings) const {
  const int32_t k = options_.middles;
  const auto mine = [&](int32_t item) {
    const int32_t place = scratch_.marks[size_t(item)];
    return place > 0 ? scratch_.own_ratings[size_t(place - 1)] : kNoRating;
  };
  ratings[0] = mine(items[0]);
  for (int32_t j = 1; j <= k; ++j) {
    ratings[2 * j - 1] = rating_of(users[j - 1], items[j - 1]);
    ratings[2 * j] = rating_of(users[j - 1], items[j]);
  }
  ratings[2 * k + 1] = mine(items[k]);
}

int32_t ChainSampler::sample(ChainForm form, int32_t* users, int32_t* items, float* ratings) {
  const int32_t k = options_.middles;
  scratch_.used.clear();
  listed_ = false;
  if (k == 1 && cheap_to_list(form)) prepare_pool(form);
  int32_t found = 0;
  while (found < query_.count) {
    int32_t* us = users + int64_t(found) * k;
    int32_t* is = items + int64_t(found) * (k + 1);
    float* rs = ratings + int64_t(found) * (2 * k + 2);
    if (k == 1) {
      const int32_t user = next_user(form);
      if (user < 0) break;
      if (!listed_) scratch_.used.push_back(user);
      if (write_chain(form, user, us, is, rs)) ++found;
      continue;
    }
    bool ended = false;
    for (int tries = 0; !ended && tries < kWalks && !scratch_.own_items.empty(); ++tries)
      ended = walk(us, is);
    if (!ended) break;
    rate_walk(us, is, rs);
    scratch_.used.push_back(us[0]);
    ++found;
  }
  return found;
}

}  // namespace reasonrec
