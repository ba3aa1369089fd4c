// Group-relative advantages. rewards in groups of consecutive rows; a row with valid = 0 takes no
// part in its group's statistics and gets advantage 0. std has n - 1; a group of one has mean 0 and
// std 1.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace reasonrec {

enum class Advantage { kGrpo, kDrGrpo, kRloo };
Advantage advantage_from_name(const std::string&);  // throws RR_UNKNOWN_ESTIMATOR

// grpo:    (r - mean) / (std + epsilon)        Shao et al. 2024
// dr_grpo: r - mean                            Liu et al. 2025
// rloo:    n / (n - 1) * (r - mean)            Ahmadian et al. 2024
std::vector<double> advantages(Advantage, const std::vector<double>& rewards,
                               const std::vector<int32_t>& group_sizes,
                               const std::vector<uint8_t>& valid, double epsilon);

}  // namespace reasonrec
