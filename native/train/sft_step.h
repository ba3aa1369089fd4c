// Supervised loss of one accumulation: sum of weight_t * NLL(ids[t] | ids[0..t-1]) / normaliser.
// dlogprob_t = -weight_t / normaliser.
#pragma once
#include "train/training_pass.h"

namespace reasonrec {

SftResult sft_step(const Context&, TrainingPass&, const std::vector<SftSequence>&,
                   double normaliser, float dropout, uint64_t dropout_seed, const Job&);

}  // namespace reasonrec
