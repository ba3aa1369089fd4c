// The optimiser's state on disk; see checkpoint.h.
#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

#include "core/safetensors.h"

namespace reasonrec {
namespace {

struct Part {
  const char* prefix;
  float* values;  // flat, in the order of the layout
};

std::vector<Part> parts(const TrainingState& state) {
  std::vector<Part> out{{"exp_avg.", state.optimiser.first.data()},
                        {"exp_avg_sq.", state.optimiser.second.data()}};
  if (state.weights) out.push_back({"weight.", state.weights});
  return out;
}

[[noreturn]] void refuse_state(const std::string& file, const std::string& expected,
                               const std::string& got) {
  throw Error("RR_CHECKPOINT_MISMATCH", file + " is not a state of this trainer", expected, got,
              "resume with the model and adapter configuration that wrote it");
}

int64_t saved_steps(const SafetensorsFile& saved, const std::string& file) {
  const auto found = saved.metadata().find("steps");
  int64_t steps = -1;
  if (found != saved.metadata().end()) {
    const std::string& digits = found->second;
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), steps);
    if (end.ptr != digits.data() + digits.size()) steps = -1;
  }
  if (steps < 0) refuse_state(file, "a step count in the metadata", "none");
  return steps;
}

}  // namespace

void save_training_state(const TrainingState& state, const std::string& file) {
  std::vector<TensorToWrite> tensors;
  for (const Part& part : parts(state))
    for (const Parameter& p : state.layout.entries)
      tensors.push_back({part.prefix + p.name, {p.rows, p.cols}, part.values + p.offset});
  const std::map<std::string, std::string> metadata{
      {"steps", std::to_string(state.optimiser.steps())}};
  write_safetensors(file, tensors, metadata);
}

void load_training_state(const TrainingState& state, const std::string& file) {
  const SafetensorsFile saved(file);
  const int64_t steps = saved_steps(saved, file);
  const std::vector<Part> targets = parts(state);
  const size_t expected = targets.size() * state.layout.entries.size();
  if (saved.tensors().size() != expected)
    refuse_state(file, std::to_string(expected) + " tensors",
                 std::to_string(saved.tensors().size()));

  // First look at everything, then change: a wrong file leaves the trainer as it was.
  for (const bool writing : {false, true})
    for (const Part& part : targets)
      for (const Parameter& p : state.layout.entries) {
        const auto found = saved.tensors().find(part.prefix + p.name);
        if (found == saved.tensors().end())
          refuse_state(file, part.prefix + p.name, "no such tensor");
        const TensorView& tensor = found->second;
        const std::vector<int64_t> shape{p.rows, p.cols};
        if (tensor.dtype != DType::kF32 || tensor.shape != shape)
          refuse_state(file,
                       part.prefix + p.name + " as F32 " + std::to_string(p.rows) + " x " +
                           std::to_string(p.cols),
                       "another shape or dtype");
        if (writing) tensor.to_float(part.values + p.offset);
      }
  state.optimiser.restore(steps);
}

}  // namespace reasonrec
