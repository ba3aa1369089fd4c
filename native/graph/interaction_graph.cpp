// Two counting sorts (by item, then stably by user) give rows that ascend; see interaction_graph.h.
#include "graph/interaction_graph.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/check.h"

namespace reasonrec {
namespace {

void require_usable(int32_t users, int32_t items, const Edges& edges) {
  const size_t n = edges.users.size();
  check(users >= 0 && items >= 0, "RR_BAD_GRAPH", "a graph of negative size",
        ">= 0 users and items",
        std::to_string(users) + " users, " + std::to_string(items) + " items");
  check(edges.items.size() == n && edges.ratings.size() == n && edges.times.size() == n &&
            n <= size_t(INT32_MAX),
        "RR_BAD_GRAPH", "the columns of the edges differ in length", std::to_string(n) + " each",
        std::to_string(edges.items.size()) + " items, " + std::to_string(edges.ratings.size()) +
            " ratings, " + std::to_string(edges.times.size()) + " times");
  for (size_t e = 0; e < n; ++e) {
    const int32_t user = edges.users[e], item = edges.items[e];
    check(user >= 0 && user < users && item >= 0 && item < items, "RR_BAD_GRAPH",
          "edge " + std::to_string(e) + " leaves the graph",
          "users below " + std::to_string(users) + ", items below " + std::to_string(items),
          "user " + std::to_string(user) + ", item " + std::to_string(item));
    check(!std::isnan(edges.times[e]), "RR_BAD_GRAPH", "edge " + std::to_string(e) + " has no time",
          "a number", "NaN");
  }
}

// order, stably sorted by keys[order[..]] in [0, n); offsets (n + 1) of the runs.
std::vector<int32_t> counting_sort(std::vector<int64_t>& offsets, const std::vector<int32_t>& order,
                                   const std::vector<int32_t>& keys, int32_t n) {
  offsets.assign(size_t(n) + 1, 0);
  for (int32_t e : order) ++offsets[size_t(keys[size_t(e)]) + 1];
  for (size_t i = 0; i < size_t(n); ++i) offsets[i + 1] += offsets[i];
  std::vector<int64_t> next(offsets.begin(), offsets.end() - 1);
  std::vector<int32_t> out(order.size());
  for (int32_t e : order) out[size_t(next[size_t(keys[size_t(e)])]++)] = e;
  return out;
}

}  // namespace

InteractionGraph::InteractionGraph(int32_t users, int32_t items, const Edges& edges)
    : users_(users), items_(items) {
  require_usable(users, items, edges);
  std::vector<int32_t> order(edges.users.size());
  for (size_t e = 0; e < order.size(); ++e) order[e] = int32_t(e);
  std::vector<int64_t> offsets;
  order = counting_sort(offsets, order, edges.items, items);
  order = counting_sort(offsets, order, edges.users, users);

  // By user, equal pairs next to one another: the earliest stays.
  by_user_.offsets.assign(size_t(users) + 1, 0);
  std::vector<int32_t> kept;
  kept.reserve(order.size());
  for (int32_t user = 0; user < users; ++user) {
    const size_t first = kept.size();
    for (int64_t at = offsets[size_t(user)]; at < offsets[size_t(user) + 1]; ++at) {
      const int32_t e = order[size_t(at)];
      const bool repeats =
          kept.size() > first && edges.items[size_t(kept.back())] == edges.items[size_t(e)];
      if (!repeats)
        kept.push_back(e);
      else if (edges.times[size_t(e)] < edges.times[size_t(kept.back())])
        kept.back() = e;
    }
    by_user_.offsets[size_t(user) + 1] = int64_t(kept.size());
  }
  // `kept` ascends in (user, item), so a stable sort by item ascends in (item, user).
  const std::vector<int32_t> turned = counting_sort(by_item_.offsets, kept, edges.items, items);
  float lowest = INFINITY, highest = -INFINITY;
  const auto fill = [&](Rows& rows, const std::vector<int32_t>& from,
                        const std::vector<int32_t>& ids) {
    rows.ids.reserve(from.size());
    rows.ratings.reserve(from.size());
    rows.times.reserve(from.size());
    for (int32_t e : from) {
      rows.ids.push_back(ids[size_t(e)]);
      rows.ratings.push_back(edges.ratings[size_t(e)]);
      rows.times.push_back(edges.times[size_t(e)]);
      if (std::isnan(edges.ratings[size_t(e)])) continue;
      lowest = std::min(lowest, edges.ratings[size_t(e)]);
      highest = std::max(highest, edges.ratings[size_t(e)]);
    }
  };
  fill(by_user_, kept, edges.items);
  fill(by_item_, turned, edges.users);
  rating_span_ = highest > lowest ? highest - lowest : 0;
  add_bits();
  add_times();
}

// Where `items` bits take at most the room of the ids.
void InteractionGraph::add_bits() {
  bits_at_.assign(size_t(users_), -1);
  for (int32_t user = 0; user < users_; ++user) {
    const EdgeRow row = items_of(user);
    if (row.size == 0 || words() * 8 > row.size * 4) continue;
    bits_at_[size_t(user)] = int64_t(bits_.size());
    bits_.resize(bits_.size() + size_t(words()));
    uint64_t* bits = bits_.data() + bits_at_[size_t(user)];
    for (int64_t e = 0; e < row.size; ++e)
      bits[row.ids[e] >> 6] |= uint64_t(1) << (row.ids[e] & 63);
  }
}

void InteractionGraph::add_times() {
  ranks_.resize(by_user_.ids.size());
  sorted_times_.resize(by_user_.ids.size());
  std::vector<int32_t> order;
  for (int32_t user = 0; user < users_; ++user) {
    const EdgeRow row = items_of(user);
    const size_t begin = size_t(by_user_.offsets[size_t(user)]), n = size_t(row.size);
    order.resize(n);
    for (size_t e = 0; e < n; ++e) order[e] = int32_t(e);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return row.times[a] > row.times[b]; });
    for (size_t rank = 0; rank < n; ++rank) {
      ranks_[begin + size_t(order[rank])] = int32_t(rank);
      sorted_times_[begin + n - 1 - rank] = row.times[order[rank]];
    }
  }
}

int64_t InteractionGraph::bytes() const {
  int64_t sum = int64_t(sorted_times_.size() * sizeof(double) + ranks_.size() * sizeof(int32_t) +
                        bits_.size() * sizeof(uint64_t) + bits_at_.size() * sizeof(int64_t));
  for (const Rows* rows : {&by_user_, &by_item_})
    sum += int64_t(rows->offsets.size() * sizeof(int64_t) + rows->ids.size() * sizeof(int32_t) +
                   rows->ratings.size() * sizeof(float) + rows->times.size() * sizeof(double));
  return sum;
}

int64_t InteractionGraph::degree_before(int32_t user, double time) const {
  if (time == INFINITY) return degree(user);
  const auto begin = sorted_times_.begin() + by_user_.offsets[size_t(user)];
  const auto end = sorted_times_.begin() + by_user_.offsets[size_t(user) + 1];
  return std::lower_bound(begin, end, time) - begin;
}

}  // namespace reasonrec
