// What an optimiser needs to go on exactly where it stopped, as one safetensors file: moments
// "exp_avg.<name>" and "exp_avg_sq.<name>" of every parameter, the step count in the metadata, and
// where the weights have no file of their own (an adapter has one) these under "weight.<name>".
#pragma once
#include <string>

#include "model/parameters.h"
#include "train/adamw.h"

namespace reasonrec {

struct TrainingState {
  const ParameterLayout& layout;
  AdamW& optimiser;
  float* weights;  // flat, layout.total floats; null: kept elsewhere
};

// Throws RR_WRITE_FAILED.
void save_training_state(const TrainingState&, const std::string& file);
// Throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS, RR_CHECKPOINT_MISMATCH (then nothing was changed).
// The caller packs the weights again.
void load_training_state(const TrainingState&, const std::string& file);

}  // namespace reasonrec
