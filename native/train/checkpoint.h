// What an optimiser needs to go on exactly where it stopped, as one safetensors file: moments
// "exp_avg.<name>" and "exp_avg_sq.<name>" of every parameter, the step count in the metadata, and
// in full-parameter mode the weights themselves under "weight.<name>" (an adapter has a file of its
// own).
#pragma once
#include <string>

#include "train/trainer.h"

namespace reasonrec {

// Throws RR_WRITE_FAILED.
void save_trainer_state(Trainer&, bool with_weights, const std::string& file);
// Throws RR_FILE_NOT_FOUND, RR_BAD_SAFETENSORS, RR_CHECKPOINT_MISMATCH (then nothing was changed).
// The caller packs the weights again.
void load_trainer_state(Trainer&, bool with_weights, const std::string& file);

}  // namespace reasonrec
