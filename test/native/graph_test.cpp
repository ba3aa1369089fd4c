// The graph and its chains: the sparse product against the formula of sets, the conditions of a
// chain, the law of u1 and of the items against enumerated probabilities, independence of threads
// and queries.
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "core/check.h"
#include "graph/chains.h"
#include "graph/interaction_graph.h"
#include "graph/overlap.h"
#include "harness.h"

namespace reasonrec::test {
namespace {

using ChainKey = std::tuple<int32_t, int32_t, int32_t>;  // i0, u1, i1
const double kForever = std::numeric_limits<double>::infinity();

// Edges with the probability `density`, ratings 1 to 5 (some missing), times 0 to 99.
Edges random_edges(Random& random, int32_t users, int32_t items, double density) {
  Edges edges;
  for (int32_t user = 0; user < users; ++user)
    for (int32_t item = 0; item < items; ++item) {
      if (random.uniform() >= density) continue;
      const int repeats = random.uniform() < 0.1 ? 2 : 1;
      for (int repeat = 0; repeat < repeats; ++repeat) {
        edges.users.push_back(user);
        edges.items.push_back(item);
        edges.ratings.push_back(random.uniform() < 0.1 ? NAN : float(1 + random.integer(5)));
        edges.times.push_back(double(random.integer(100)));
      }
    }
  return edges;
}

// The same by maps: user -> item -> (rating, time), the earliest of repeats.
using Plain = std::map<int32_t, std::map<int32_t, std::pair<float, double>>>;
Plain plain_of(const Edges& edges) {
  Plain out;
  for (size_t e = 0; e < edges.users.size(); ++e) {
    auto& row = out[edges.users[e]];
    const auto at = row.find(edges.items[e]);
    if (at == row.end() || edges.times[e] < at->second.second)
      row[edges.items[e]] = {edges.ratings[e], edges.times[e]};
  }
  return out;
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

ThreadPool& one_thread() {
  static ThreadPool pool(1);
  return pool;
}

ChainQuery query_of(int32_t user, int32_t target, int32_t count, uint64_t stream = 0,
                    double before = kForever) {
  ChainQuery query;
  query.user = user;
  query.target = target;
  query.count = count;
  query.stream = stream;
  query.before = before;
  return query;
}

RR_TEST("graph: rows ascend and hold the earliest of repeated pairs, both ways") {
  Random random(11);
  const Edges edges = random_edges(random, 20, 15, 0.3);
  const InteractionGraph graph(20, 15, edges);
  Plain plain = plain_of(edges);
  int64_t count = 0;
  for (int32_t user = 0; user < 20; ++user) {
    const EdgeRow row = graph.items_of(user);
    expect(row.size == int64_t(plain[user].size()), "degree of a user");
    int64_t e = 0;
    for (const auto& [item, value] : plain[user]) {
      expect(
          row.ids[e] == item && same(row.ratings[e], value.first) && row.times[e] == value.second,
          "an edge of a user");
      ++e;
    }
    count += row.size;
    for (double time : {0.0, 13.0, 50.0, 1000.0}) {
      int64_t before = 0;
      for (int64_t i = 0; i < row.size; ++i) before += row.times[i] < time ? 1 : 0;
      expect(graph.degree_before(user, time) == before, "edges before a time");
    }
  }
  expect(count == graph.edges() && graph.rating_span() == 4, "edges and span");
  int64_t turned = 0;
  for (int32_t item = 0; item < 15; ++item) {
    const EdgeRow row = graph.users_of(item);
    for (int64_t e = 0; e < row.size; ++e) {
      expect(e == 0 || row.ids[e - 1] < row.ids[e], "users of an item ascend");
      const auto& [rating, time] = plain[row.ids[e]].at(item);
      expect(same(row.ratings[e], rating) && row.times[e] == time, "an edge of an item");
    }
    turned += row.size;
  }
  expect(turned == count, "each edge stands in both directions");
}

RR_TEST("graph: memory is linear in edges, and bad columns are refused") {
  Random random(12);
  const auto bytes = [&](double density) {
    const Edges edges = random_edges(random, 200, 300, density);
    const InteractionGraph graph(200, 300, edges);
    return std::pair{double(graph.bytes()), double(graph.edges())};
  };
  const auto [few, few_edges] = bytes(0.05);
  const auto [many, many_edges] = bytes(0.5);
  const double each = (many - few) / (many_edges - few_edges);
  expect(each >= 44 && each <= 48, "44 to 48 bytes more for an edge more");
  const auto refused = [](Edges edges) {
    try {
      const InteractionGraph graph(2, 2, edges);
    } catch (const Error& error) {
      return error.code == "RR_BAD_GRAPH";
    }
    return false;
  };
  expect(refused({{0, 2}, {0, 1}, {1, 1}, {0, 0}}), "a user too many");
  expect(refused({{0}, {-1}, {1}, {0}}), "a negative item");
  expect(refused({{0}, {0, 1}, {1}, {0}}), "columns of different lengths");
  expect(refused({{0}, {0}, {1}, {NAN}}), "a time that is none");
  expect(!refused({{0}, {1}, {NAN}, {0}}), "no rating is fine");
}

RR_TEST("chains: the sparse product gives the set formula of U_cand on 200 random graphs") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const int32_t users = int32_t(2 + random.integer(12)), items = int32_t(2 + random.integer(10));
    const Edges edges = random_edges(random, users, items, 0.1 + 0.5 * random.uniform());
    const InteractionGraph graph(users, items, edges);
    const Plain plain = plain_of(edges);
    const auto raters = [&](int32_t item) {
      std::set<int32_t> out;
      for (const auto& [user, row] : plain)
        if (row.contains(item)) out.insert(user);
      return out;
    };
    for (const auto& [user, row] : plain) {
      std::set<int32_t> wanted;
      for (const auto& [p, unused_p] : row)
        for (const auto& [q, unused_q] : row) {
          if (p == q) continue;
          for (int32_t other : raters(p))
            if (raters(q).contains(other)) wanted.insert(other);
        }
      wanted.erase(user);
      std::set<int32_t> got;
      for (const Candidate& candidate : chain_candidates(graph, query_of(user, -1, 1), true)) {
        got.insert(candidate.user);
        int32_t shared = 0;
        for (const auto& [item, unused] : plain.at(candidate.user))
          shared += int(row.contains(item));
        expect(shared == candidate.shared, "how much is shared");
      }
      expect(got == wanted, "U_cand of graph " + std::to_string(seed));
    }
  }
}

// The conditions of spec 3 and of check 1, and each edge's rating, for the chains of one query.
void expect_sound(const Plain& plain, const ChainQuery& query, const ChainOptions& options,
                  const Chains& chains) {
  const double limit = options.shared_clock ? query.before : kForever;
  const auto& mine = plain.at(query.user);
  std::set<int32_t> met;
  for (int32_t c = 0; c < chains.counts[0]; ++c) {
    const int32_t u1 = chains.users[size_t(c)];
    const int32_t i0 = chains.items[size_t(2 * c)], i1 = chains.items[size_t(2 * c + 1)];
    const float* ratings = &chains.ratings[size_t(4 * c)];
    const auto& theirs = plain.at(u1);
    expect(u1 != query.user && i0 != i1 && met.insert(u1).second, "u1 != u0, i0 != i1, u1 once");
    expect(i0 != query.target && mine.at(i0).second < query.before, "u0 - i0 is known and earlier");
    expect(theirs.at(i0).second < limit && theirs.at(i1).second < limit, "u1's edges are earlier");
    expect(same(ratings[0], mine.at(i0).first) && same(ratings[1], theirs.at(i0).first) &&
               same(ratings[2], theirs.at(i1).first),
           "ratings of the edges");
    for (int32_t item : query.excluded) expect(i0 != item && i1 != item, "an excluded item");
    if (chains.outcomes[0] == ChainOutcome::kOpen) {
      expect(i1 != query.target && std::isnan(ratings[3]), "an open chain ends elsewhere");
      expect(!mine.contains(i1) || mine.at(i1).second >= query.before, "an open chain is open");
    } else if (query.target >= 0) {
      expect(i1 == query.target && std::isnan(ratings[3]), "the closing edge is hidden");
    } else {
      expect(mine.at(i1).second < query.before && same(ratings[3], mine.at(i1).first), "closed");
    }
  }
}

RR_TEST("chains: every chain of 3,000 random queries is sound, at any density, weights and clock") {
  int64_t closed = 0, open = 0, none = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(1000 + seed);
    const int32_t users = int32_t(2 + random.integer(40)), items = int32_t(2 + random.integer(30));
    const Edges edges = random_edges(random, users, items, random.uniform() * random.uniform());
    const InteractionGraph graph(users, items, edges);
    const Plain plain = plain_of(edges);
    if (plain.empty()) continue;
    for (int turn = 0; turn < 10; ++turn) {
      ChainOptions options;
      options.seed = seed;
      options.weights = turn % 2 ? ChainWeights::kTuned : ChainWeights::kFaithful;
      options.shared_clock = random.uniform() < 0.5;
      const int32_t target = random.uniform() < 0.5 ? -1 : int32_t(random.integer(items));
      ChainQuery query =
          query_of(int32_t(random.integer(users)), target, int32_t(random.integer(100)),
                   uint64_t(turn), random.uniform() < 0.5 ? kForever : double(random.integer(100)));
      if (!plain.contains(query.user)) continue;
      const std::vector<int32_t> barred = {int32_t(random.integer(items))};
      if (turn % 3 == 0 && barred[0] != target) query.excluded = barred;
      const Chains chains = sample_chains(one_thread(), graph, {query}, options, {});
      expect_sound(plain, query, options, chains);
      if (query.excluded.empty() && chains.outcomes[0] == ChainOutcome::kClosed) {
        const auto all = chain_candidates(graph, query, options.shared_clock);
        expect(size_t(chains.counts[0]) == std::min(all.size(), size_t(query.count)),
               "as many chains as wanted, or one for every candidate");
      }
      if (query.count == 0) continue;
      closed += chains.outcomes[0] == ChainOutcome::kClosed;
      open += chains.outcomes[0] == ChainOutcome::kOpen;
      none += chains.outcomes[0] == ChainOutcome::kNone;
    }
  }
  expect(closed > 500 && open > 100 && none > 100, "all outcomes occur");
}

RR_TEST("overlap: bits, scans and look-ups find what two sets share, and its recency") {
  // Rows from a few items to nearly all of 3,000: some are held as bits, others are not.
  Random random(13);
  const int32_t users = 24, items = 3000;
  Edges edges;
  for (int32_t user = 0; user < users; ++user)
    for (int32_t item = 0; item < items; ++item) {
      if (random.uniform() >= std::pow(0.75, user)) continue;
      edges.users.push_back(user);
      edges.items.push_back(item);
      edges.ratings.push_back(float(1 + random.integer(5)));
      edges.times.push_back(double(random.integer(1000)));
    }
  const InteractionGraph graph(users, items, edges);
  const Plain plain = plain_of(edges);
  expect(graph.bits_of(0) != nullptr && graph.bits_of(users - 1) == nullptr, "both kinds of rows");
  OverlapScratch scratch;
  int64_t compared = 0;
  for (const double before : {kForever, 700.0})
    for (int32_t mine = 0; mine < users; ++mine) {
      const std::vector<int32_t> barred = {int32_t(random.integer(items)), 5};
      OwnSource source;
      source.user = mine;
      Overlap overlap(graph, source, barred, 17, before, before, scratch);
      const auto counts = [&](int32_t item, double time) {
        return item != 17 && item != barred[0] && item != 5 && time < before;
      };
      for (int32_t other = 0; other < users; ++other) {
        if (other == mine || !plain.contains(mine) || !plain.contains(other)) continue;
        std::vector<int32_t> wanted;
        for (const auto& [item, value] : plain.at(mine)) {
          const auto theirs = plain.at(other).find(item);
          if (theirs != plain.at(other).end() && counts(item, value.second) &&
              theirs->second.second < before)
            wanted.push_back(item);
        }
        expect(overlap.count(other) == int32_t(wanted.size()), "how many");
        for (const bool listed : {false, true}) {
          if (listed) overlap.list();
          for (size_t n = 0; n < wanted.size(); ++n) {
            const Shared one = overlap.at(int32_t(n));
            expect(overlap.own().ids[one.own] == wanted[n] &&
                       graph.items_of(other).ids[one.edge] == wanted[n],
                   "which");
            ++compared;
          }
        }
      }
      if (mine % 6 != 0 || !plain.contains(mine)) continue;
      for (const auto& [item, value] : plain.at(mine)) {
        if (!counts(item, value.second)) continue;
        double later = 0;
        for (const auto& [more, theirs] : plain.at(mine))
          later += counts(more, theirs.second) &&
                   (theirs.second > value.second || (theirs.second == value.second && more < item));
        expect(overlap.recency(overlap.place_of(item)) == 1 / (1 + later), "recency");
      }
    }
  expect(compared > 50000, "enough was compared");
}

// ---- laws ---------------------------------------------------------------------------------------

// p(chain) of a query with one chain, by listing everything. No time filter.
std::map<ChainKey, double> enumerated(const Plain& plain, int32_t u0, int32_t target, bool tuned,
                                      float span) {
  const auto& mine = plain.at(u0);
  std::map<int32_t, double> recency;  // 1 / (1 + items of u0 chosen later), the smaller id first
  double own = 0;
  for (const auto& [item, value] : mine) {
    if (item == target) continue;
    ++own;
    double later = 0;
    for (const auto& [other, theirs] : mine)
      later += other != target &&
               (theirs.second > value.second || (theirs.second == value.second && other < item));
    recency[item] = tuned ? 1 / (1 + later) : 1;
  }
  std::map<ChainKey, double> out;
  double total = 0;
  for (const auto& [u1, theirs] : plain) {
    if (u1 == u0 || (target >= 0 && !theirs.contains(target))) continue;
    std::vector<int32_t> shared;
    double agreement = 0;
    for (const auto& [item, weight] : recency) {
      if (!theirs.contains(item)) continue;
      shared.push_back(item);
      const float a = mine.at(item).first, b = theirs.at(item).first;
      agreement += std::isnan(a) || std::isnan(b) ? 0.5 : 1 - std::fabs(a - b) / (1 + span);
    }
    if (shared.size() < (target >= 0 ? 1u : 2u)) continue;
    const double n = double(shared.size());
    const double cosine = n / std::sqrt(own * double(theirs.size()));
    const double weight = tuned ? cosine * agreement / n : 1;
    total += weight;
    double all = 0;
    for (int32_t item : shared) all += recency[item];
    for (int32_t i0 : shared) {
      const double first = recency[i0] / all;
      if (target >= 0) {
        out[{i0, u1, target}] = weight * first;
        continue;
      }
      for (int32_t i1 : shared)
        if (i1 != i0) out[{i0, u1, i1}] = weight * first * recency[i1] / (all - recency[i0]);
    }
  }
  for (auto& [key, p] : out) p /= total;
  return out;
}

// Chi square of counts against probabilities, per degree of freedom in units of its deviation.
double surprise(const std::map<ChainKey, double>& law, const std::map<ChainKey, int64_t>& counts,
                double draws) {
  double chi = 0;
  for (const auto& [key, p] : law) {
    const auto at = counts.find(key);
    const double difference = (at == counts.end() ? 0 : double(at->second)) - draws * p;
    chi += difference * difference / (draws * p);
  }
  for (const auto& [key, count] : counts) expect(law.contains(key), "a chain that cannot be");
  const double freedom = double(law.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

// A graph of 14 users and 9 items, with ratings missing and repeats; u0 is user 0.
struct Small {
  Edges edges;
  Plain plain;
  InteractionGraph graph;
  explicit Small(uint64_t seed)
      : edges([&] {
          Random random(seed);
          return random_edges(random, 14, 9, 0.6);
        }()),
        plain(plain_of(edges)),
        graph(14, 9, edges) {}
};

// Listed at once, proposed only, and proposed with a list after few refusals.
constexpr int32_t kWays[] = {0, 1 << 16, 2};
constexpr int64_t kDraws = 60000;
// Five deviations of chi square: one false alarm in millions, while a bias of some percent is seen.
constexpr double kSurprise = 5;

Chains many(const Small& small, ChainOptions options, const ChainQuery& like, int64_t queries) {
  std::vector<ChainQuery> all(size_t(queries), like);
  for (size_t q = 0; q < all.size(); ++q) all[q].stream = q;
  return sample_chains(one_thread(), small.graph, all, options, {});
}

std::map<ChainKey, int64_t> counted(const Chains& chains) {
  std::map<ChainKey, int64_t> counts;
  for (size_t c = 0; c < chains.users.size(); ++c)
    ++counts[{chains.items[2 * c], chains.users[c], chains.items[2 * c + 1]}];
  return counts;
}

void expect_law(bool tuned, uint64_t seed) {
  const Small small(seed);
  for (const int32_t target : {-1, 4})
    for (const int32_t proposals : kWays) {
      const auto law = enumerated(small.plain, 0, target, tuned, small.graph.rating_span());
      expect(law.size() > 10, "a law worth testing");
      ChainOptions options;
      options.seed = seed;
      options.weights = tuned ? ChainWeights::kTuned : ChainWeights::kFaithful;
      options.proposals = proposals;
      const Chains chains = many(small, options, query_of(0, target, 1), kDraws);
      const double got = surprise(law, counted(chains), double(kDraws));
      expect(got < kSurprise, "target " + std::to_string(target) + ", proposals " +
                                  std::to_string(proposals) + ": surprise " + std::to_string(got));
    }
}

RR_TEST("chains: faithful draws follow the enumerated law, listed or proposed") {
  expect_law(false, 21);
}

RR_TEST("chains: tuned draws follow the enumerated law, listed or proposed") {
  expect_law(true, 22);
}

RR_TEST("chains: the second u1 of a query follows the law over the users that are left") {
  const Small small(23);
  for (const bool tuned : {false, true}) {
    std::map<int32_t, double> first;
    for (const auto& [key, p] : enumerated(small.plain, 0, 4, tuned, small.graph.rating_span()))
      first[std::get<1>(key)] += p;
    std::map<ChainKey, double> law;
    for (const auto& [a, p] : first)
      for (const auto& [b, q] : first)
        if (a != b) law[{a, b, 0}] = p * q / (1 - p);
    for (const int32_t proposals : kWays) {
      ChainOptions options;
      options.seed = 5;
      options.weights = tuned ? ChainWeights::kTuned : ChainWeights::kFaithful;
      options.proposals = proposals;
      const Chains chains = many(small, options, query_of(0, 4, 2), kDraws);
      std::map<ChainKey, int64_t> counts;
      for (size_t c = 0; c < chains.users.size(); c += 2)
        ++counts[{chains.users[c], chains.users[c + 1], 0}];
      const double got = surprise(law, counts, double(kDraws));
      expect(got < kSurprise, "surprise " + std::to_string(got));
    }
  }
}

RR_TEST("chains: the test of the law sees another law") {
  const Small small(22);
  const auto law = enumerated(small.plain, 0, -1, false, small.graph.rating_span());
  ChainOptions options;
  options.weights = ChainWeights::kTuned;
  const Chains chains = many(small, options, query_of(0, -1, 1), kDraws);
  expect(surprise(law, counted(chains), double(kDraws)) > 3 * kSurprise, "tuned is not faithful");
}

RR_TEST("chains: open ones are uniform over u1 and over the items that u0 lacks") {
  const Small small(24);
  const auto& mine = small.plain.at(0);
  std::map<ChainKey, double> law;
  double users = 0;
  for (const auto& [u1, theirs] : small.plain) {
    double shared = 0, outside = 0;
    for (const auto& [item, unused] : theirs) (mine.contains(item) ? shared : outside) += 1;
    if (u1 == 0 || shared == 0 || outside == 0) continue;
    ++users;
    for (const auto& [i0, unused0] : theirs)
      for (const auto& [i1, unused1] : theirs)
        if (mine.contains(i0) && !mine.contains(i1)) law[{i0, u1, i1}] = 1 / (shared * outside);
  }
  expect(users > 3, "several users have an item that u0 lacks");
  for (auto& [key, p] : law) p /= users;
  for (const int32_t proposals : kWays) {
    ChainOptions options;
    options.form = ChainForm::kOpen;
    options.proposals = proposals;
    const Chains chains = many(small, options, query_of(0, -1, 1), kDraws);
    expect(chains.outcomes[0] == ChainOutcome::kOpen, "they say that they are open");
    expect(surprise(law, counted(chains), double(kDraws)) < kSurprise, "the law of open chains");
  }
}

// u0's row of a small graph as the edges of a query, items falling: any order will do.
struct GivenRow {
  std::vector<int32_t> items;
  std::vector<float> ratings;
  std::vector<double> times;
  explicit GivenRow(const Small& small) {
    const auto& row = small.plain.at(0);
    for (auto at = row.rbegin(); at != row.rend(); ++at) {
      items.push_back(at->first);
      ratings.push_back(at->second.first);
      times.push_back(at->second.second);
    }
  }
  ChainQuery with(ChainQuery query) const {
    query.own_given = true;
    query.own_items = items;
    query.own_ratings = ratings;
    query.own_times = times;
    return query;
  }
};

RR_TEST("chains: edges given with a query stand in for the graph's row") {
  const Small small(25);
  const GivenRow row(small);
  ChainOptions options;
  options.weights = ChainWeights::kTuned;
  for (const int32_t target : {-1, 4}) {
    const Chains a = many(small, options, row.with(query_of(0, target, 3)), 50);
    const Chains b = many(small, options, query_of(0, target, 3), 50);
    expect(a.users == b.users && a.items == b.items && a.counts == b.counts, "the same chains");
  }
  // Somebody who is not in the graph may be asked about, and everybody in it may be u1.
  options.proposals = 0;
  const ChainQuery stranger = row.with(query_of(-1, -1, 14));
  const Chains chains = sample_chains(one_thread(), small.graph, {stranger}, options, {});
  const std::set<int32_t> met(chains.users.begin(), chains.users.end());
  expect(met.contains(0), "user 0 shares everything with the stranger");
}

RR_TEST("chains: longer ones are closed, known in every edge and never meet a node twice") {
  Random random(26);
  const Edges edges = random_edges(random, 60, 40, 0.25);
  const InteractionGraph graph(60, 40, edges);
  const Plain plain = plain_of(edges);
  for (const int32_t k : {2, 3, 5})
    for (const int32_t target : {-1, 7}) {
      ChainOptions options;
      options.middles = k;
      const ChainQuery query = query_of(3, target, 40, 1, 80);
      const Chains chains = sample_chains(one_thread(), graph, {query}, options, {});
      expect(chains.counts[0] > 10, "there are such chains");
      std::set<int32_t> met;
      for (int32_t c = 0; c < chains.counts[0]; ++c) {
        const int32_t* users = &chains.users[size_t(c * k)];
        const int32_t* items = &chains.items[size_t(c * (k + 1))];
        const float* ratings = &chains.ratings[size_t(c * (2 * k + 2))];
        expect(std::set<int32_t>(users, users + k).size() == size_t(k) &&
                   std::find(users, users + k, 3) == users + k && met.insert(users[0]).second,
               "different users, u1 once");
        expect(std::set<int32_t>(items, items + k + 1).size() == size_t(k) + 1, "different items");
        const auto edge = [&](int32_t user, int32_t item, float rating) {
          const auto& [known, time] = plain.at(user).at(item);
          expect(time < 80 && same(rating, known), "an edge");
        };
        edge(3, items[0], ratings[0]);
        for (int32_t j = 1; j <= k; ++j) {
          edge(users[j - 1], items[j - 1], ratings[2 * j - 1]);
          edge(users[j - 1], items[j], ratings[2 * j]);
        }
        if (target < 0) edge(3, items[k], ratings[2 * k + 1]);
        expect(target < 0 || (items[k] == target && std::isnan(ratings[2 * k + 1])), "the target");
      }
    }
}

RR_TEST("chains: threads, order and company of the queries change nothing") {
  Random random(27);
  const InteractionGraph graph(300, 200, random_edges(random, 300, 200, 0.1));
  std::vector<ChainQuery> queries;
  for (int32_t q = 0; q < 500; ++q)
    queries.push_back(query_of(q % 300, q % 3 ? -1 : q % 200, 1 + q % 5, uint64_t(q)));
  for (const ChainWeights weights : {ChainWeights::kFaithful, ChainWeights::kTuned}) {
    ChainOptions options;
    options.seed = 9;
    options.weights = weights;
    const Chains one = sample_chains(one_thread(), graph, queries, options, {});
    for (const int threads : {2, 3, 7}) {
      ThreadPool pool(threads);
      const Chains more = sample_chains(pool, graph, queries, options, {});
      expect(one.users == more.users && one.items == more.items && one.counts == more.counts &&
                 std::memcmp(one.ratings.data(), more.ratings.data(),
                             one.ratings.size() * sizeof(float)) == 0,
             std::to_string(threads) + " threads");
    }
    size_t chain = 0;
    for (size_t q = 0; q < queries.size(); ++q) {
      const size_t count = size_t(one.counts[q]);
      if (q % 7 == 0) {
        const Chains alone = sample_chains(one_thread(), graph, {queries[q]}, options, {});
        expect(
            std::equal(alone.users.begin(), alone.users.end(), one.users.begin() + long(chain)) &&
                alone.users.size() == count,
            "a query alone");
      }
      chain += count;
    }
    options.seed = 10;
    expect(sample_chains(one_thread(), graph, queries, options, {}).users != one.users,
           "another seed gives other chains");
  }
}

}  // namespace
}  // namespace reasonrec::test
