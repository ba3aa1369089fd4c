// Inside of Model, shared by weights.cpp (structure, access, training) and weights_load.cpp.
//
// As loaded, a model whose matrices lie in its files as bf16 is read where it lies: the first
// forward packs blocks of weights as it goes, the second finds that packing all of them pays
// (prepare_forward). The bits are the same. So the first token comes before a copy of the model.
//
// Packed and frozen, a linear exists only as panels (plus transposed panels where a backward runs).
// A tied embedding table is the head's panels, read by columns; an untied one stays row-major
// because rows of it are read; vectors (norms, biases) stay flat. Trainable, all of it lives in one
// flat fp32 master and the panels are fp32 copies that refresh() renews.
#pragma once
#include <string>
#include <vector>

#include "model/panel_store.h"
#include "model/weight_files.h"
#include "model/weights.h"

namespace reasonrec {

// What an entry of the layout is to the decoder.
enum class Role {
  kEmbedding,
  kLinear,
  kBias,
  kInputNorm,
  kPostNorm,
  kQNorm,
  kKNorm,
  kFinalNorm,
  kHead
};
struct Slot {
  Role role;
  int64_t layer = 0;
  Linear linear = kQ;
};

inline bool is_vector(Role r) {
  return r != Role::kEmbedding && r != Role::kLinear && r != Role::kHead;
}

struct Model::Impl {
  ModelConfig config;
  WeightType type = WeightType::kF32;
  ParameterLayout layout;
  std::vector<Slot> slots;  // parallel to layout.entries
  std::vector<LayerOffsets> offsets;
  std::vector<LayerWeights> layers;
  PanelStore forward, backward;  // layers x kLinears, then the head
  Panels head, head_backward;
  std::unique_ptr<WeightFiles> borrowed;  // while they are read where they lie
  bool used = false;                      // by one forward
  Buffer rows, vectors;  // the untied table, the vectors; both empty once trainable
  Buffer master;
  Table embedding;
  const float* final_norm = nullptr;
  Buffer cos, sin;
  int64_t rope_positions = 0;  // in the tables
  bool trainable = false;

  explicit Impl(const ModelConfig&);
  void build_layout();
  void extend_rope(const Context&, int64_t positions);
  int64_t add(const std::string& name, int64_t rows, int64_t cols, Slot slot) {
    slots.push_back(slot);
    return layout.append(name, rows, cols, !is_vector(slot.role)).offset;
  }
  size_t panel_index(const Slot& s) const {
    return size_t(s.role == Role::kLinear ? s.layer * kLinears + s.linear
                                          : config.layers * kLinears);
  }
  // Is this entry held as panels? Every matrix but an untied embedding.
  bool packed(size_t entry) const {
    const Role r = slots[entry].role;
    return !is_vector(r) && (r != Role::kEmbedding || config.tied_head);
  }
  int64_t table_floats() const {  // of the untied table
    const int64_t size = config.vocab * config.hidden;
    return type == WeightType::kBF16 ? (size + 1) / 2 : size;
  }
  void allocate_vectors();
  void allocate(const Context&);  // panels and table, of `type`
  // Matrices from files: read where they lie, or packed. Both check every value.
  void borrow_matrices(const Context&, const Job&);
  void pack_matrices(const Context&, const WeightFiles&, bool checked, const Job&);
  void pack_borrowed(const Context&);  // nothing is borrowed afterwards
  void bind_panels();                  // points the decoder at both stores
  void point_vectors(const float* flat, bool compact);
  void store(const Context&, size_t entry, const float* values);
  void read(const Context&, size_t entry, float* values) const;
  const float* vector_of(const Slot&) const;
};

}  // namespace reasonrec
