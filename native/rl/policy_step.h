// Policy loss of one accumulation of groups (ops/policy_loss.h), with the KL against a reference
// and, where asked for, an NLL term on chosen tokens.
#pragma once
#include "train/training_pass.h"

namespace reasonrec {

PolicyResult policy_step(const Context&, TrainingPass&, const std::vector<PolicyGroup>&,
                         const PolicyLossConfig&, const std::vector<double>& weights,
                         float temperature, const AdapterStack& reference, bool gradients,
                         const Job&);

}  // namespace reasonrec
