#include "packing/expand.h"

#include <cstring>
#include <map>
#include <set>
#include <string>

#include "errors/error.h"
#include "flatbuffer/patch.h"
#include "flatbuffer/schema.h"
#include "flatbuffer/structure.h"
#include "packing/bits.h"
#include "packing/form.h"

namespace kqat::packing {
namespace {

using flatbuffer::Model;
using flatbuffer::Patch;
using flatbuffer::Tensor;

// A buffer of packed weights; of floats the signs are packed.
struct Weights {
  int bits;
  uint64_t count;
  const FloatSigns* floats;

  size_t expanded_size() const { return count * (floats ? sizeof(float) : sizeof(int8_t)); }
};

using Groups = std::map<uint32_t, Weights>;  // by buffer: several tensors may share one

bool StoresBits(int type, int64_t bits) {
  if (type == schema::kUInt8) return true;
  return (bits == 4 && type == schema::kInt4) || (bits == 2 && type == schema::kInt2);
}

// Whether a tensor has the channels that there are magnitudes for.
bool Fits(const FloatSigns& signs, const std::vector<int32_t>& shape) {
  if (shape.size() < 2) return false;
  if (signs.axis == -1) return signs.magnitudes.size() == 1;
  if (signs.axis != 0 && signs.axis != static_cast<int64_t>(shape.size()) - 1) return false;
  return shape[static_cast<size_t>(signs.axis)] == static_cast<int64_t>(signs.magnitudes.size());
}

bool Alike(const Weights& a, const Weights& b) {
  if (a.bits != b.bits || a.count != b.count || !a.floats != !b.floats) return false;
  return !a.floats || (a.floats->axis == b.floats->axis && a.floats->magnitudes == b.floats->magnitudes);
}

const Tensor& TensorAt(const Model& model, int64_t index) {
  const std::vector<Tensor>& tensors = model.subgraphs[0].tensors;
  RequireSound(index >= 0 && static_cast<uint64_t>(index) < tensors.size(), "a packed tensor that does not exist");
  return tensors[static_cast<size_t>(index)];
}

void Add(Groups& groups, const Tensor& tensor, int64_t bits, const FloatSigns* floats) {
  const Weights weights{static_cast<int>(bits), flatbuffer::CountOf(tensor.shape), floats};
  const auto [found, added] = groups.try_emplace(tensor.buffer, weights);
  const bool alike = added || Alike(found->second, weights);
  RequireSound(alike && StoresBits(tensor.type, bits) && tensor.buffer > 0, "packed tensors that do not go together");
}

Groups ByBuffer(const Model& model, const Lists& lists) {
  Groups groups;
  for (const auto& [index, bits] : lists.tensors) {
    RequireSound(bits == 1 || bits == 2 || bits == 4, "a packed tensor of other bits than 1, 2 or 4");
    Add(groups, TensorAt(model, index), bits, nullptr);
  }
  std::set<int64_t> seen;
  for (const FloatSigns& floats : lists.floats) {
    const Tensor& tensor = TensorAt(model, floats.tensor);
    RequireSound(seen.insert(floats.tensor).second && tensor.type == schema::kUInt8 && Fits(floats, tensor.shape),
                 "floats that their signs do not tell");
    Add(groups, tensor, 1, &floats);
  }
  return groups;
}

// Throws Error if a tensor that is not listed reads packed data as it is.
void CheckPlainReaders(const Model& model, const Groups& groups, const Lists& lists) {
  size_t readers = 0;
  for (const flatbuffer::Subgraph& graph : model.subgraphs) {
    for (const Tensor& t : graph.tensors) readers += groups.count(t.buffer);
  }
  const size_t listed = lists.tensors.size() + lists.floats.size();
  RequireSound(readers == listed, "tensors that read packed data as they are");
}

// Writes floats in place of their signs, -1 and 1.
void ScaleSigns(const FloatSigns& form, const std::vector<int8_t>& signs, uint8_t* floats) {
  const size_t channels = form.magnitudes.size();
  const size_t in_row = signs.size() / channels;
  for (size_t i = 0; i < signs.size(); ++i) {
    const float value = form.magnitudes[form.axis == 0 ? i / in_row : i % channels] * static_cast<float>(signs[i]);
    std::memcpy(floats + i * sizeof value, &value, sizeof value);
  }
}

void ExpandBuffer(Patch& patch, const flatbuffer::Buffer& buffer, const Weights& weights) {
  RequireSound(buffer.data.size == PackedSize(weights.count, weights.bits), "a packed tensor of another size");
  if (weights.count == 0) return;
  std::vector<int8_t> values(weights.count);
  const bool clean = Unpack(patch.At(buffer.data.position), weights.bits, weights.count, values.data());
  RequireSound(clean, "bits behind the last value of a tensor");
  const size_t vector = patch.AppendBytes(weights.expanded_size());
  uint8_t* expanded = patch.At(vector + sizeof(uint32_t));
  if (weights.floats) {
    ScaleSigns(*weights.floats, values, expanded);
  } else {
    std::memcpy(expanded, values.data(), values.size());
  }
  patch.Point(buffer.table.Find(schema::buffer::kData), vector);
}

void SetType(Patch& patch, const Tensor& tensor, int type) {
  patch.Set(tensor.table.Find(schema::tensor::kType), static_cast<int8_t>(type));
}

void RestoreVersions(Patch& patch, const Model& model, const Lists& lists) {
  for (const auto& [index, version] : lists.versions) {
    const bool exists = index >= 0 && static_cast<uint64_t>(index) < model.codes.size();
    RequireSound(exists, "an operator code to return to that does not exist");
    const flatbuffer::OperatorCode& code = model.codes[static_cast<size_t>(index)];
    RequireSound(version >= 1 && version < code.version, "an operator version to return to that is not older");
    patch.Set(code.table.Find(schema::operator_code::kVersion), static_cast<int32_t>(version));
  }
}

// Returns what the expanded weights take; buffers that share their bytes could ask for more without end.
size_t ExpandedSize(const Groups& groups, size_t file) {
  constexpr size_t kAroundEach = 64, kLargestFactor = 8 * sizeof(float);  // floats of which one bit is stored
  size_t size = 0;
  for (const auto& [buffer, weights] : groups) {
    size += weights.expanded_size();
    RequireSound(size <= kLargestFactor * file, "packed tensors that share their bytes");
  }
  return size + kAroundEach * groups.size();
}

}  // namespace

std::vector<uint8_t> Expand(std::vector<uint8_t> bytes) {
  if (!IsPacked(bytes)) return bytes;
  bytes.resize(Unsealed(bytes));
  const std::vector<uint8_t> old = bytes;  // positions and tables are read from here while the copy grows
  const flatbuffer::View view(old.data(), old.size());
  const Model model = flatbuffer::ReadModel(view);
  CheckStructure(model, flatbuffer::Form::kPacked);
  const Lists lists = ReadLists(model);
  const Groups groups = ByBuffer(model, lists);
  CheckPlainReaders(model, groups, lists);
  bytes.reserve(old.size() + ExpandedSize(groups, old.size()));
  Patch patch(std::move(bytes));
  for (const auto& [buffer, weights] : groups) ExpandBuffer(patch, model.buffers[buffer], weights);
  for (const auto& [index, bits] : lists.tensors) SetType(patch, TensorAt(model, index), schema::kInt8);
  for (const FloatSigns& floats : lists.floats) SetType(patch, TensorAt(model, floats.tensor), schema::kFloat32);
  RestoreVersions(patch, model, lists);
  return patch.Take();
}

}  // namespace kqat::packing
