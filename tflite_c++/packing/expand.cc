#include "packing/expand.h"

#include <map>
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

// A buffer of packed weights.
struct Weights {
  int bits;
  uint64_t count;
};

bool StoresBits(int type, int64_t bits) {
  if (type == schema::kUInt8) return true;
  return (bits == 4 && type == schema::kInt4) || (bits == 2 && type == schema::kInt2);
}

// Groups the packed tensors by the buffer that holds their data: several may share one.
std::map<uint32_t, Weights> ByBuffer(const Model& model, const Lists& lists) {
  std::map<uint32_t, Weights> groups;
  const std::vector<Tensor>& tensors = model.subgraphs[0].tensors;
  for (const auto& [index, bits] : lists.tensors) {
    RequireSound(index >= 0 && static_cast<uint64_t>(index) < tensors.size(), "a packed tensor that does not exist");
    RequireSound(bits == 1 || bits == 2 || bits == 4, "a packed tensor of other bits than 1, 2 or 4");
    const Tensor& tensor = tensors[static_cast<size_t>(index)];
    const uint64_t count = flatbuffer::CountOf(tensor.shape);
    const auto [found, added] = groups.try_emplace(tensor.buffer, Weights{static_cast<int>(bits), count});
    const bool alike = added || (found->second.bits == bits && found->second.count == count);
    RequireSound(alike && StoresBits(tensor.type, bits) && tensor.buffer > 0, "packed tensors that do not go together");
  }
  return groups;
}

// Throws Error if a tensor that is not listed reads packed data as it is.
void CheckPlainReaders(const Model& model, const std::map<uint32_t, Weights>& groups, const Lists& lists) {
  size_t readers = 0;
  for (const flatbuffer::Subgraph& graph : model.subgraphs) {
    for (const Tensor& t : graph.tensors) readers += groups.count(t.buffer);
  }
  RequireSound(readers == lists.tensors.size(), "tensors that read packed data as they are");
}

void ExpandBuffer(Patch& patch, const flatbuffer::Buffer& buffer, const Weights& weights) {
  RequireSound(buffer.data.size == PackedSize(weights.count, weights.bits), "a packed tensor of another size");
  if (weights.count == 0) return;
  const size_t vector = patch.AppendBytes(weights.count);
  auto* values = reinterpret_cast<int8_t*>(patch.At(vector + sizeof(uint32_t)));
  const uint8_t* packed = patch.At(buffer.data.position);
  RequireSound(Unpack(packed, weights.bits, weights.count, values), "bits behind the last value of a tensor");
  patch.Point(buffer.table.Find(schema::buffer::kData), vector);
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
size_t ExpandedSize(const std::map<uint32_t, Weights>& groups, size_t file) {
  constexpr size_t kAroundEach = 64, kLargestFactor = 8;
  size_t size = 0;
  for (const auto& [buffer, weights] : groups) {
    size += weights.count;
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
  const std::map<uint32_t, Weights> groups = ByBuffer(model, lists);
  CheckPlainReaders(model, groups, lists);
  bytes.reserve(old.size() + ExpandedSize(groups, old.size()));
  Patch patch(std::move(bytes));
  for (const auto& [buffer, weights] : groups) ExpandBuffer(patch, model.buffers[buffer], weights);
  for (const auto& [index, bits] : lists.tensors) {
    const Tensor& tensor = model.subgraphs[0].tensors[static_cast<size_t>(index)];
    patch.Set(tensor.table.Find(schema::tensor::kType), static_cast<int8_t>(schema::kInt8));
  }
  RestoreVersions(patch, model, lists);
  return patch.Take();
}

}  // namespace kqat::packing
