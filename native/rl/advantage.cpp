// Group-relative advantages; formulas and sources in advantage.h. A group whose rewards are all
// equal has advantage exactly 0 under every estimator here: r - mean is computed first and a mean
// of equal numbers can be off by rounding, so such groups are recognised by comparison.
#include "rl/advantage.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace reasonrec {
namespace {

struct GroupStatistics {
  int64_t count = 0;
  double mean = 0, std = 1;
  bool equal = true;
};

GroupStatistics statistics(const double* rewards, const uint8_t* valid, int64_t size) {
  GroupStatistics s;
  double sum = 0, first = 0;
  for (int64_t i = 0; i < size; ++i) {
    if (!valid[i]) continue;
    if (s.count == 0) first = rewards[i];
    s.equal = s.equal && rewards[i] == first;
    sum += rewards[i];
    ++s.count;
  }
  if (s.count < 2) return s;  // mean 0 and std 1
  s.mean = sum / double(s.count);
  double squares = 0;
  for (int64_t i = 0; i < size; ++i)
    if (valid[i]) squares += (rewards[i] - s.mean) * (rewards[i] - s.mean);
  s.std = std::sqrt(squares / double(s.count - 1));
  return s;
}

}  // namespace

Advantage advantage_from_name(const std::string& name) {
  if (name == "grpo") return Advantage::kGrpo;
  if (name == "dr_grpo") return Advantage::kDrGrpo;
  if (name == "rloo") return Advantage::kRloo;
  throw Error("RR_UNKNOWN_ESTIMATOR", "unknown advantage estimator", "grpo, dr_grpo, rloo", name);
}

std::vector<double> advantages(Advantage estimator, const std::vector<double>& rewards,
                               const std::vector<int32_t>& group_sizes,
                               const std::vector<uint8_t>& valid, double epsilon) {
  int64_t total = 0;
  for (int32_t size : group_sizes) {
    check(size >= 0, "RR_BAD_ARGUMENT", "a group size is negative", ">= 0", std::to_string(size));
    total += size;
  }
  check(total == int64_t(rewards.size()) && valid.size() == rewards.size(), "RR_SHAPE_MISMATCH",
        "group sizes must add up to the number of rewards and of valid flags",
        std::to_string(total),
        std::to_string(rewards.size()) + " and " + std::to_string(valid.size()));
  for (size_t i = 0; i < rewards.size(); ++i)
    check(!valid[i] || std::isfinite(rewards[i]), "RR_NON_FINITE",
          "a valid row has a reward that is not finite", "a finite reward",
          std::to_string(rewards[i]), "mark the row invalid or repair its reward");

  std::vector<double> out(rewards.size(), 0.0);
  int64_t begin = 0;
  for (int32_t size : group_sizes) {
    const GroupStatistics s = statistics(rewards.data() + begin, valid.data() + begin, size);
    for (int64_t i = begin; i < begin + size; ++i) {
      if (!valid[i] || (s.count > 1 && s.equal)) continue;
      const double centred = rewards[i] - s.mean;
      switch (estimator) {
        case Advantage::kGrpo:
          out[i] = centred / (s.std + epsilon);
          break;
        case Advantage::kDrGrpo:
          out[i] = centred;
          break;
        case Advantage::kRloo:
          out[i] = s.count > 1 ? centred * double(s.count) / double(s.count - 1) : centred;
          break;
      }
    }
    begin += size;
  }
  return out;
}

}  // namespace reasonrec
