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
      limit_(options.shared_clock ? query.before : std::numeric_limits<double>::infinity()),
      overlap_(graph,
               {query.user, query.own_given, query.own_items, query.own_ratings, query.own_times},
               query.excluded, query.target, query.before, limit_, scratch.overlap) {}

bool ChainSampler::passed_over(int32_t user) const {
  if (user == query_.user) return true;
  return std::find(scratch_.used.begin(), scratch_.used.end(), user) != scratch_.used.end();
}

int32_t ChainSampler::least(ChainForm form) const {
  return form == ChainForm::kClosed && query_.target < 0 ? 2 : 1;
}

// Items of `user` that could end an open chain, into scratch.outside.
bool ChainSampler::list_outside(int32_t user) {
  const EdgeRow theirs = graph_.items_of(user);
  scratch_.outside.clear();
  for (int64_t e = 0; e < theirs.size; ++e)
    if (!overlap_.has(theirs.ids[e]) && !overlap_.barred(theirs.ids[e]) && theirs.times[e] < limit_)
      scratch_.outside.push_back(int32_t(e));
  return !scratch_.outside.empty();
}

// ---- u1 -----------------------------------------------------------------------------------------

// The weight of the tuned law, up to a factor that is the same for everybody; at most 1.
double ChainSampler::weight(const Candidate& candidate) const {
  if (options_.weights == ChainWeights::kFaithful) return 1;
  const double degree = double(graph_.degree_before(candidate.user, limit_));
  return candidate.agreement / std::sqrt(degree * double(overlap_.usable()));
}

void ChainSampler::list_candidates(ChainForm form) {
  ChainScratch& s = scratch_;
  if (form == ChainForm::kOpen || query_.target < 0) {
    candidate_users(s.pool, graph_, overlap_.counting(), query_.user, limit_, least(form),
                    s.candidates);
    return;
  }
  s.pool.clear();
  const EdgeRow raters = graph_.users_of(query_.target);
  for (int64_t e = 0; e < raters.size; ++e) {
    const int32_t user = raters.ids[e];
    if (user == query_.user || !(raters.times[e] < limit_)) continue;
    if (const int32_t n = overlap_.count(user))
      s.pool.push_back({user, n, overlap_.agreement() * n});
  }
}

// Is listing at once cheaper than proposing?
bool ChainSampler::cheap_to_list(ChainForm form) const {
  if (options_.proposals >= 0) return options_.proposals == 0;
  if (query_.count > kManyChains) return true;
  if (form == ChainForm::kClosed && query_.target >= 0)
    return graph_.users_of(query_.target).size <= kProposals / 4;
  int64_t product = 0;
  const EdgeRow& own = overlap_.own();
  for (int64_t e = 0; e < own.size; ++e)
    if ((product += graph_.users_of(own.ids[e]).size) > kShortProduct) return false;
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
    if (graph_.users() == 0) return -1;
    user = int32_t(draws_.below(graph_.users()));
  }
  if (passed_over(user)) return -1;
  if (options_.weights == ChainWeights::kFaithful)
    return overlap_.count(user) >= least(form) ? user : -1;
  // Accepted where a uniform draw is below weight, looked at as soon as a bound refuses it: shared
  // <= min(degree, own), agreement <= 1.
  const double degree = double(graph_.degree_before(user, limit_));
  const double mine = double(overlap_.usable());
  const double mark = draws_.uniform() * std::sqrt(degree * mine);
  if (mark >= std::min(degree, mine) || overlap_.count(user) < least(form)) return -1;
  if (mark >= double(overlap_.counted())) return -1;
  return mark < overlap_.agreement() * overlap_.counted() ? user : -1;
}

// The next u1 by the law over the users that are left, with scratch.shared; -1: nobody is left.
int32_t ChainSampler::next_user(ChainForm form) {
  if (overlap_.usable() == 0) return -1;
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
  if (user >= 0) overlap_.count(user);
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
Shared ChainSampler::draw_shared(const Shared* except) {
  const int32_t n = overlap_.counted();
  if (options_.weights == ChainWeights::kFaithful) {
    if (!except) return overlap_.at(int32_t(draws_.below(n)));
    // Uniform over the others: the last stands in for the one that is left out.
    const Shared drawn = overlap_.at(int32_t(draws_.below(n - 1)));
    return drawn.own == except->own ? overlap_.at(n - 1) : drawn;
  }
  const std::vector<Shared>& shared = overlap_.list();
  std::vector<double>& weights = scratch_.weights;
  weights.resize(size_t(n));
  double total = 0;
  for (size_t i = 0; i < size_t(n); ++i) {
    const bool barred = except && shared[i].own == except->own;
    total += weights[i] = barred ? 0 : overlap_.recency(shared[i].own);
  }
  double mark = draws_.uniform() * total;
  size_t last = 0;
  for (size_t i = 0; i < size_t(n); ++i) {
    if (weights[i] == 0) continue;
    last = i;
    mark -= weights[i];
    if (mark < 0) break;
  }
  return shared[last];
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
  const EdgeRow& own = overlap_.own();
  const Shared first = draw_shared(nullptr);
  users[0] = user;
  items[0] = own.ids[first.own];
  ratings[0] = own.ratings[first.own];
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
    items[1] = own.ids[second.own];
    ratings[2] = theirs.ratings[second.edge];
    ratings[3] = own.ratings[second.own];
  }
  return true;
}

// ---- longer chains ------------------------------------------------------------------------------

// One walk; see the head of chain_sampler.h. users u1..uk, items i0..ik.
bool ChainSampler::walk(int32_t* users, int32_t* items) {
  const int32_t k = options_.middles;
  const EdgeRow& own = overlap_.own();
  items[k] = query_.target >= 0 ? query_.target : own.ids[draws_.below(own.size)];
  if (query_.target < 0 && overlap_.barred(items[k])) return false;
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
    if (!(theirs.times[edge] < limit_) || overlap_.barred(items[j - 1])) return false;
    if (std::find(items + j, items + k + 1, items[j - 1]) != items + k + 1) return false;
  }
  if (passed_over(users[0]) || overlap_.count(users[0]) == 0) return false;
  const Shared first = draw_shared(nullptr);
  items[0] = own.ids[first.own];
  return std::find(items + 1, items + k + 1, items[0]) == items + k + 1;
}

void ChainSampler::rate_walk(const int32_t* users, const int32_t* items, float* ratings) const {
  const int32_t k = options_.middles;
  const auto mine = [&](int32_t item) {
    return overlap_.has(item) ? overlap_.own().ratings[overlap_.place_of(item)] : kNoRating;
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
    for (int tries = 0; !ended && tries < kWalks && overlap_.usable() > 0; ++tries)
      ended = walk(us, is);
    if (!ended) break;
    rate_walk(us, is, rs);
    scratch_.used.push_back(us[0]);
    ++found;
  }
  return found;
}

}  // namespace reasonrec
