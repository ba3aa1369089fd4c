// Many queries over the thread pool; see chains.h.
#include "graph/chains.h"

#include <algorithm>
#include <string>

#include "core/check.h"
#include "graph/chain_sampler.h"

namespace reasonrec {
namespace {

constexpr int64_t kQueriesPerTask = 32;
constexpr int64_t kMostChains = int64_t(1) << 26;  // 1.9 GB of chains of two users

void require(bool ok, const char* what, int64_t bound, int64_t got) {
  check(ok, "RR_BAD_ARGUMENT", what, "less than " + std::to_string(bound), std::to_string(got));
}

void require_usable(const InteractionGraph& graph, const ChainQuery& query) {
  require(query.user >= -1 && query.user < graph.users(), "a user outside the graph", graph.users(),
          query.user);
  require(query.target >= -1 && query.target < graph.items(), "a target outside the graph",
          graph.items(), query.target);
  require(query.count >= 0, "a negative number of chains", kMostChains, query.count);
  const auto require_items = [&](std::span<const int32_t> items) {
    for (int32_t item : items)
      require(item >= 0 && item < graph.items(), "an item outside the graph", graph.items(), item);
  };
  require_items(query.own_items);
  require_items(query.excluded);
  check(query.own_ratings.size() == query.own_items.size() &&
            query.own_times.size() == query.own_items.size(),
        "RR_BAD_ARGUMENT", "the columns of a user's edges differ in length",
        std::to_string(query.own_items.size()) + " each",
        std::to_string(query.own_ratings.size()) + " ratings, " +
            std::to_string(query.own_times.size()) + " times");
}

// Moves what was found together: queries that found fewer left gaps.
void close_gaps(Chains& chains, const std::vector<int64_t>& begins, int64_t middles) {
  int64_t chain = 0;
  const auto move = [&](auto& values, int64_t from, int64_t count, int64_t width) {
    if (from == chain) return;
    std::copy_n(values.begin() + from * width, count * width, values.begin() + chain * width);
  };
  for (size_t q = 0; q < chains.counts.size(); ++q) {
    move(chains.users, begins[q], chains.counts[q], middles);
    move(chains.items, begins[q], chains.counts[q], middles + 1);
    move(chains.ratings, begins[q], chains.counts[q], 2 * middles + 2);
    chain += chains.counts[q];
  }
  chains.users.resize(size_t(chain * middles));
  chains.items.resize(size_t(chain * (middles + 1)));
  chains.ratings.resize(size_t(chain * (2 * middles + 2)));
}

}  // namespace

Chains sample_chains(ThreadPool& pool, const InteractionGraph& graph,
                     const std::vector<ChainQuery>& queries, const ChainOptions& options,
                     const Job& job) {
  const int64_t k = options.middles;
  check(k >= 1 && k <= 8, "RR_BAD_ARGUMENT", "the number of intermediate users is out of range",
        "1 to 8", std::to_string(k));
  check(k == 1 || options.form == ChainForm::kClosed, "RR_BAD_ARGUMENT",
        "open chains have one intermediate user", "1", std::to_string(k));
  std::vector<int64_t> begins(queries.size() + 1, 0);
  for (size_t q = 0; q < queries.size(); ++q) {
    require_usable(graph, queries[q]);
    begins[q + 1] = begins[q] + queries[q].count;
  }
  require(begins.back() <= kMostChains, "too many chains at once", kMostChains, begins.back());
  Chains out;
  out.users.resize(size_t(begins.back() * k));
  out.items.resize(size_t(begins.back() * (k + 1)));
  out.ratings.resize(size_t(begins.back() * (2 * k + 2)));
  out.counts.resize(queries.size());
  out.outcomes.resize(queries.size(), ChainOutcome::kNone);
  job.total(int32_t(queries.size()));

  std::vector<ChainScratch> scratch(static_cast<size_t>(pool.size()));
  const auto run = [&](size_t q, ChainScratch& memory) {
    ChainSampler sampler(graph, options, queries[q], memory);
    const auto sample = [&](ChainForm form) {
      return sampler.sample(form, &out.users[size_t(begins[q] * k)],
                            &out.items[size_t(begins[q] * (k + 1))],
                            &out.ratings[size_t(begins[q] * (2 * k + 2))]);
    };
    if (queries[q].count == 0) return;
    ChainForm form = options.form;
    out.counts[q] = sample(form);
    if (out.counts[q] == 0 && form == ChainForm::kClosed && options.fall_back && k == 1)
      out.counts[q] = sample(form = ChainForm::kOpen);
    if (out.counts[q] > 0)
      out.outcomes[q] = form == ChainForm::kClosed ? ChainOutcome::kClosed : ChainOutcome::kOpen;
  };
  const int64_t tasks = (int64_t(queries.size()) + kQueriesPerTask - 1) / kQueriesPerTask;
  pool.parallel_for(tasks, [&](int64_t task, int worker) {
    job.poll();
    const size_t first = size_t(task * kQueriesPerTask);
    const size_t end = std::min(queries.size(), first + size_t(kQueriesPerTask));
    for (size_t q = first; q < end; ++q) run(q, scratch[size_t(worker)]);
    job.advance(int32_t(end - first));
  });
  close_gaps(out, begins, k);
  return out;
}

std::vector<Candidate> chain_candidates(const InteractionGraph& graph, const ChainQuery& query,
                                        bool shared_clock) {
  require_usable(graph, query);
  ChainOptions options;
  options.shared_clock = shared_clock;
  ChainScratch memory;
  ChainSampler sampler(graph, options, query, memory);
  sampler.list_candidates(ChainForm::kClosed);
  return memory.pool;
}

}  // namespace reasonrec
