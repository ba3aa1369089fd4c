// The registry of advantages; formulas and sources in advantage.h. A group whose rewards are all
// equal is recognised by comparison, not by its mean: r - mean is computed first, and a mean of
// equal numbers can be off by rounding.
#include "rl/advantage.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

struct Statistics {
  int64_t count = 0;
  double mean = 0, std = 1;
  bool equal = true;
};

Statistics statistics(const double* values, const uint8_t* valid, int64_t size) {
  Statistics s;
  double sum = 0, first = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (!valid[i]) continue;
    if (s.count == 0) first = values[i];
    s.equal = s.equal && values[i] == first;
    sum += values[i];
    ++s.count;
  }
  if (s.count < 2) return s;  // mean 0 and std 1
  s.mean = sum / double(s.count);
  double squares = 0;
  for (int64_t i = 0; i < size; ++i)
    if (valid[i]) squares += (values[i] - s.mean) * (values[i] - s.mean);
  s.std = std::sqrt(squares / double(s.count - 1));
  return s;
}

struct Group {
  int64_t begin, end;
  Statistics rewards;
  // Of a single row there is nothing to tell equal from different.
  bool alike() const { return rewards.count > 1 && rewards.equal; }
};

// A checked batch with each row's reward.
struct Rows {
  const RewardBatch& in;
  const AdvantageOptions& options;
  std::vector<double> r;
  std::vector<Group> groups;

  int64_t size() const { return int64_t(r.size()); }
  Statistics over_all(const std::vector<double>& values) const {
    return statistics(values.data(), in.valid.data(), size());
  }
  // f(group, row) of every valid row; 0 elsewhere.
  template <class F>
  std::vector<double> each(F&& f) const {
    std::vector<double> out(r.size(), 0.0);
    for (const Group& g : groups)
      for (int64_t i = g.begin; i < g.end; ++i)
        if (in.valid[size_t(i)]) out[size_t(i)] = f(g, size_t(i));
    return out;
  }
  // r - mean, exactly 0 where a group's rewards are equal.
  double centred(const Group& g, size_t i) const { return g.alike() ? 0 : r[i] - g.rewards.mean; }
};

// Over tokens: value i counts lengths[i] times.
std::vector<double> whitened(const Rows& rows, const std::vector<double>& values) {
  double tokens = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!rows.in.valid[i]) continue;
    tokens += rows.in.lengths[i];
    sum += rows.in.lengths[i] * values[i];
  }
  const double mean = tokens > 0 ? sum / tokens : 0;
  for (size_t i = 0; i < values.size(); ++i)
    if (rows.in.valid[i]) squares += rows.in.lengths[i] * (values[i] - mean) * (values[i] - mean);
  const double variance = tokens > 1 ? squares / (tokens - 1) : 0;
  return rows.each(
      [&](const Group&, size_t i) { return (values[i] - mean) / std::sqrt(variance + 1e-8); });
}

std::vector<double> grpo(const Rows& b) {
  return b.each([&](const Group& g, size_t i) {
    return g.alike() ? 0 : b.centred(g, i) / (g.rewards.std + b.options.epsilon);
  });
}

std::vector<double> dr_grpo(const Rows& b) {
  return b.each([&](const Group& g, size_t i) { return b.centred(g, i); });
}

std::vector<double> batch_std(const Rows& b) {
  const double std = b.over_all(b.r).std;
  return b.each([&](const Group& g, size_t i) {
    return g.alike() ? 0 : b.centred(g, i) / (std + b.options.epsilon);
  });
}

std::vector<double> rloo(const Rows& b) {
  return b.each([&](const Group& g, size_t i) {
    const double n = double(g.rewards.count);
    return n > 1 ? b.centred(g, i) * n / (n - 1) : b.centred(g, i);
  });
}

std::vector<double> rfpp(const Rows& b) { return whitened(b, b.r); }

std::vector<double> rfpp_baseline(const Rows& b) { return whitened(b, dr_grpo(b)); }

std::vector<double> remax(const Rows& b) {
  return b.each([&](const Group& g, size_t i) {
    return b.r[i] - b.in.baselines[size_t(&g - b.groups.data())];
  });
}

std::vector<double> opo(const Rows& b) {
  return b.each([&](const Group& g, size_t i) {
    if (g.alike() || g.rewards.count < 2) return b.centred(g, i);
    double tokens = 0, sum = 0;
    for (size_t j = size_t(g.begin); j < size_t(g.end); ++j) {
      if (!b.in.valid[j]) continue;
      tokens += b.in.lengths[j];
      sum += b.in.lengths[j] * b.r[j];
    }
    return b.r[i] - (tokens > 0 ? sum / tokens : g.rewards.mean);
  });
}

std::vector<double> gpg(const Rows& b) {
  double all = 0, rewarded = 0;
  for (size_t i = 0; i < b.r.size(); ++i) {
    all += b.in.valid[i] ? 1 : 0;
    rewarded += b.in.valid[i] && b.r[i] != 0 ? 1 : 0;
  }
  const double alpha = all / std::max(1.0, rewarded);
  return b.each([&](const Group& g, size_t i) { return alpha * b.centred(g, i); });
}

std::vector<double> passk_best(const Rows& b) {
  std::vector<double> out(b.r.size(), 0.0);
  for (const Group& g : b.groups) {
    if (g.rewards.count < 2 || g.alike()) continue;
    int64_t best = -1, second = -1;  // the first of equals
    for (int64_t i = g.begin; i < g.end; ++i) {
      if (!b.in.valid[size_t(i)]) continue;
      if (best < 0 || b.r[size_t(i)] > b.r[size_t(best)]) {
        second = best;
        best = i;
      } else if (second < 0 || b.r[size_t(i)] > b.r[size_t(second)]) {
        second = i;
      }
    }
    const double margin = b.r[size_t(best)] - b.r[size_t(second)];
    out[size_t(best)] = b.options.pass_std ? margin / (g.rewards.std + b.options.epsilon) : margin;
  }
  return out;
}

std::vector<double> passk_bonus(const Rows& b) {
  std::vector<double> out = grpo(b);
  for (const Group& g : b.groups) {
    int64_t hits = 0;
    for (size_t i = size_t(g.begin); i < size_t(g.end); ++i)
      hits += b.in.valid[i] && b.in.hits[i] ? 1 : 0;
    const PassAtKBonus bonus = pass_at_k_bonus(g.rewards.count, hits, b.options.pass_k);
    for (size_t i = size_t(g.begin); i < size_t(g.end); ++i)
      if (b.in.valid[i]) out[i] += b.in.hits[i] ? bonus.hit : bonus.miss;
  }
  return out;
}

std::vector<double> gdpo(const Rows& b) {
  const size_t terms = b.in.term_weights.size();
  std::vector<double> sum(b.r.size(), 0.0), column(b.r.size());
  for (size_t k = 0; k < terms; ++k) {
    for (size_t i = 0; i < b.r.size(); ++i) column[i] = b.in.rewards[i * terms + k];
    for (const Group& g : b.groups) {
      const size_t begin = size_t(g.begin);
      const Statistics s =
          statistics(column.data() + begin, b.in.valid.data() + begin, g.end - g.begin);
      if (s.count > 1 && s.equal) continue;
      for (size_t i = begin; i < size_t(g.end); ++i)
        if (b.in.valid[i])
          sum[i] += b.in.term_weights[k] * (column[i] - s.mean) / (s.std + b.options.epsilon);
    }
  }
  const Statistics all = b.over_all(sum);
  return b.each(
      [&](const Group&, size_t i) { return (sum[i] - all.mean) / (all.std + b.options.epsilon); });
}

std::vector<double> latent_r3(const Rows& b) {
  const Statistics all = b.over_all(b.r);
  if (all.count < 2 || all.equal) return std::vector<double>(b.r.size(), 0.0);
  const double norm = all.std * std::sqrt(double(all.count - 1));
  return b.each([&](const Group&, size_t i) { return (b.r[i] - all.mean) / norm; });
}

struct Entry {
  const char* name;
  Advantage kind;
  std::vector<double> (*rule)(const Rows&);
  bool lengths = false, hits = false, baselines = false;  // what it needs beside rewards
};
constexpr Entry kRegistry[] = {
    {"grpo", Advantage::kGrpo, grpo},
    {"dr_grpo", Advantage::kDrGrpo, dr_grpo},
    {"batch_std", Advantage::kBatchStd, batch_std},
    {"rloo", Advantage::kRloo, rloo},
    {"rf++", Advantage::kRfpp, rfpp, true},
    {"rf++_baseline", Advantage::kRfppBaseline, rfpp_baseline, true},
    {"remax", Advantage::kRemax, remax, false, false, true},
    {"opo", Advantage::kOpo, opo, true},
    {"gpg", Advantage::kGpg, gpg},
    {"passk_best", Advantage::kPassKBest, passk_best},
    {"passk_bonus", Advantage::kPassKBonus, passk_bonus, false, true},
    {"gdpo", Advantage::kGdpo, gdpo},
    {"latent_r3", Advantage::kLatentR3, latent_r3},
};

const Entry& entry(Advantage kind) {
  return *std::find_if(std::begin(kRegistry), std::end(kRegistry),
                       [&](const Entry& e) { return e.kind == kind; });
}

void same_count(const char* what, size_t got, size_t want) {
  check(got == want, "RR_SHAPE_MISMATCH", std::string("the rewards of a step need ") + what,
        std::to_string(want), std::to_string(got));
}

Rows checked(const RewardBatch& in, const AdvantageOptions& options) {
  size_t rows = 0;
  for (int32_t size : in.group_sizes) {
    check(size >= 0, "RR_BAD_ARGUMENT", "a group size is negative", ">= 0", std::to_string(size));
    rows += size_t(size);
  }
  const size_t terms = in.term_weights.size();
  same_count("as many values as rows (by the group sizes) times terms", in.rewards.size(),
             rows * terms);
  same_count("one valid flag per row", in.valid.size(), rows);
  Rows out{in, options, std::vector<double>(rows, 0.0), {}};
  for (size_t i = 0; i < rows; ++i) {
    for (size_t k = 0; k < terms; ++k) out.r[i] += in.term_weights[k] * in.rewards[i * terms + k];
    check(!in.valid[i] || std::isfinite(out.r[i]), "RR_NON_FINITE",
          "a valid row has a reward that is not finite", "a finite reward",
          std::to_string(out.r[i]), "mark the row invalid or repair its reward");
  }
  int64_t begin = 0;
  for (int32_t size : in.group_sizes) {
    out.groups.push_back(
        {begin, begin + size, statistics(out.r.data() + begin, in.valid.data() + begin, size)});
    begin += size;
  }
  return out;
}

void check_lengths(const RewardBatch& in) {
  same_count("one length per row", in.lengths.size(), in.valid.size());
  for (int32_t length : in.lengths)
    check(length >= 0, "RR_BAD_ARGUMENT", "a length is negative", ">= 0", std::to_string(length));
}

double choose(int64_t n, int64_t k) {
  if (k < 0 || k > n) return 0;
  double out = 1;
  for (int64_t i = 1; i <= k; ++i) out = out * double(n - k + i) / double(i);
  return out;
}

}  // namespace

Advantage advantage_from_name(const std::string& name) {
  std::string expected;
  for (const Entry& e : kRegistry) {
    if (name == e.name) return e.kind;
    expected += std::string(expected.empty() ? "" : ", ") + e.name;
  }
  throw Error("RR_UNKNOWN_ESTIMATOR", "unknown advantage estimator", expected, name);
}

std::vector<double> advantages(Advantage kind, const RewardBatch& in,
                               const AdvantageOptions& options) {
  const Entry& e = entry(kind);
  if (e.lengths) check_lengths(in);
  if (e.hits) {
    same_count("one hit flag per row", in.hits.size(), in.valid.size());
    check(options.pass_k >= 1, "RR_BAD_ARGUMENT", "passk_bonus needs the k of pass@k", ">= 1",
          std::to_string(options.pass_k));
  }
  if (e.baselines)
    same_count("one greedy reward per group", in.baselines.size(), in.group_sizes.size());
  return e.rule(checked(in, options));
}

std::vector<double> token_advantages(const RewardBatch& in, const std::vector<double>& penalties,
                                     double gamma) {
  check_lengths(in);
  check(gamma >= 0 && gamma <= 1, "RR_BAD_ARGUMENT", "the discount is out of range", "0 to 1",
        std::to_string(gamma));
  const Rows rows = checked(in, {});
  std::vector<double> out;
  std::vector<uint8_t> counted;
  for (size_t i = 0; i < rows.r.size(); ++i) {
    const size_t begin = out.size(), n = size_t(in.lengths[i]);
    out.resize(begin + n, 0.0);
    counted.resize(begin + n, in.valid[i]);
    if (!in.valid[i]) continue;
    double future = 0;
    for (size_t t = n; t-- > 0;) {
      const double penalty = begin + t < penalties.size() ? penalties[begin + t] : 0;
      future = (t + 1 == n ? rows.r[i] : 0) - penalty + gamma * future;
      out[begin + t] = future;
    }
  }
  check(penalties.empty() || penalties.size() == out.size(), "RR_SHAPE_MISMATCH",
        "there must be one penalty per token", std::to_string(out.size()),
        std::to_string(penalties.size()));
  const Statistics s = statistics(out.data(), counted.data(), int64_t(out.size()));
  for (size_t t = 0; t < out.size(); ++t)
    out[t] = counted[t] && s.count > 1 ? (out[t] - s.mean) / std::sqrt(s.std * s.std + 1e-8) : 0;
  return out;
}

PassAtKBonus pass_at_k_bonus(int64_t n, int64_t c, int64_t k) {
  if (n < k || k < 1) return {};
  const double p = 1 - choose(n - c, k) / choose(n, k);
  const double sigma = std::sqrt(p * (1 - p));
  if (!(sigma > 0)) return {};
  return {(1 - p) / sigma, (1 - p - choose(n - c - 1, k - 1) / choose(n - 1, k - 1)) / sigma};
}

std::vector<double> advantages(Advantage kind, const std::vector<double>& rewards,
                               const std::vector<int32_t>& group_sizes,
                               const std::vector<uint8_t>& valid, double epsilon) {
  return advantages(kind, RewardBatch{rewards, {1.0}, group_sizes, valid, {}, {}, {}}, {epsilon});
}

}  // namespace reasonrec
