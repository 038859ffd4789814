#include "flatbuffer/structure.h"

#include <cmath>
#include <string>

#include "errors/error.h"
#include "flatbuffer/schema.h"

namespace kqat::flatbuffer {
namespace {

constexpr uint64_t kLargestTensor = uint64_t{1} << 31;  // bytes; more is not a model but a damaged shape

void Expect(bool condition, const std::string& problem) {
  if (condition) return;
  throw Error("The .tflite file is damaged. Received: a file with " + problem + ". Copy or export it again.");
}

std::string Called(size_t index, const Tensor& tensor) {
  return "tensor " + std::to_string(index) + " '" + tensor.name + "'";
}

uint64_t StoredBytes(const Tensor& tensor, const std::vector<Buffer>& buffers) {
  return tensor.buffer ? buffers[tensor.buffer].stored() : 0;
}

void CheckQuantization(const Tensor& tensor, const std::string& name) {
  const Quantization& q = tensor.quantization;
  for (float scale : q.scale) {
    // Zero scales occur in sound files; the runtime takes them for "not quantized".
    Expect(std::isfinite(scale) && scale >= 0, name + " of scale " + std::to_string(scale));
  }
  const bool points = q.zero_point.size() <= 1 || q.zero_point.size() == q.scale.size();
  Expect(points, name + " with zero points for other scales");
  if (q.scale.size() <= 1) return;
  const bool axis = q.axis >= 0 && static_cast<size_t>(q.axis) < tensor.shape.size();
  Expect(axis, name + " quantized along axis " + std::to_string(q.axis) + ", which it does not have");
  Expect(static_cast<size_t>(tensor.shape[static_cast<size_t>(q.axis)]) == q.scale.size(),
         name + " with " + std::to_string(q.scale.size()) + " scales along axis " + std::to_string(q.axis));
}

bool HoldsSeveralAByte(const Tensor& tensor, uint64_t size, uint64_t stored, Form form) {
  if (form != Form::kPacked || tensor.type != schema::kUInt8) return false;
  return stored == (size + 7) / 8 || stored == (size + 3) / 4 || stored == (size + 1) / 2;
}

void CheckTensor(const Tensor& tensor, const std::string& name, const std::vector<Buffer>& buffers, Form form) {
  Expect(tensor.type >= 0 && tensor.type <= schema::kLastType, name + " of type " + std::to_string(tensor.type));
  const uint64_t count = CountOf(tensor.shape);
  Expect(tensor.signature.empty() || tensor.signature.size() == tensor.shape.size(), name + " of two ranks");
  Expect(tensor.buffer == 0 || tensor.buffer < buffers.size(), name + " in a buffer that does not exist");
  CheckQuantization(tensor, name);
  const int bits = schema::BitsOf(tensor.type);
  if (!bits) return;
  const uint64_t size = (count * static_cast<uint64_t>(bits) + 7) / 8;
  Expect(size <= kLargestTensor, name + " of " + std::to_string(size) + " bytes");
  const uint64_t stored = StoredBytes(tensor, buffers);
  const bool whole = !stored || tensor.is_sparse || stored == size || HoldsSeveralAByte(tensor, size, stored, form);
  Expect(whole, name + " stored in " + std::to_string(stored) + " bytes, not " + std::to_string(size));
}

bool Within(const std::vector<int32_t>& indices, int32_t lowest, size_t count) {
  for (int32_t i : indices) {
    if (i < lowest || (i >= 0 && static_cast<size_t>(i) >= count)) return false;
  }
  return true;
}

// Returns which tensors of a graph have values before any operator ran.
std::vector<bool> KnownAtStart(const Subgraph& graph, const std::vector<Buffer>& buffers) {
  std::vector<bool> known;
  for (const Tensor& t : graph.tensors) {
    known.push_back(t.is_variable || StoredBytes(t, buffers) > 0 || CountOf(t.shape) == 0);
  }
  for (int32_t i : graph.inputs) known[static_cast<size_t>(i)] = true;
  return known;
}

void CheckOperator(const Operator& op, const std::string& name, const std::vector<bool>& known, size_t codes) {
  Expect(op.code < codes, name + " of a kind that does not exist");
  Expect(Within(op.inputs, -1, known.size()), name + " that reads no existing tensor");
  Expect(Within(op.outputs, 0, known.size()), name + " that writes no existing tensor");
  Expect(Within(op.intermediates, -1, known.size()), name + " with unknown intermediates");
  for (int32_t i : op.inputs) {
    Expect(i == -1 || known[static_cast<size_t>(i)], name + " that reads a tensor before it is computed");
  }
}

void CheckOrder(const Subgraph& graph, size_t codes, const std::vector<Buffer>& buffers) {
  const size_t count = graph.tensors.size();
  Expect(Within(graph.inputs, 0, count) && Within(graph.outputs, 0, count),
         "graph inputs or outputs that do not exist");
  std::vector<bool> known = KnownAtStart(graph, buffers);
  for (size_t number = 0; number < graph.operators.size(); ++number) {
    const Operator& op = graph.operators[number];
    CheckOperator(op, "operator " + std::to_string(number), known, codes);
    for (int32_t i : op.outputs) known[static_cast<size_t>(i)] = true;
  }
  for (int32_t i : graph.outputs) Expect(known[static_cast<size_t>(i)], "an output that nothing computes");
}

void CheckMaps(const std::vector<TensorMap>& maps, size_t tensors) {
  for (const TensorMap& map : maps) Expect(map.tensor < tensors, "a signature of tensors that do not exist");
}

void CheckReferences(const Model& model) {
  for (const Metadata& entry : model.metadata) {
    Expect(entry.buffer < model.buffers.size(), "metadata '" + entry.name + "' in no existing buffer");
  }
  for (const Signature& signature : model.signatures) {
    Expect(signature.subgraph < model.subgraphs.size(), "a signature of a subgraph that does not exist");
    const size_t tensors = model.subgraphs[signature.subgraph].tensors.size();
    CheckMaps(signature.inputs, tensors);
    CheckMaps(signature.outputs, tensors);
  }
}

void CheckBuffers(const Model& model) {
  const uint64_t length = model.table.file().size();
  for (size_t i = 0; i < model.buffers.size(); ++i) {
    const Buffer& b = model.buffers[i];
    Expect(b.offset <= length && b.size <= length - b.offset, "buffer " + std::to_string(i) + " outside of the file");
  }
}

}  // namespace

void CheckStructure(const Model& model, Form form) {
  Expect(model.version == schema::kVersion, "schema version " + std::to_string(model.version) + ", not 3");
  Expect(!model.subgraphs.empty(), "no subgraph");
  CheckBuffers(model);
  for (const Subgraph& graph : model.subgraphs) {
    for (size_t i = 0; i < graph.tensors.size(); ++i) {
      CheckTensor(graph.tensors[i], Called(i, graph.tensors[i]), model.buffers, form);
    }
    CheckOrder(graph, model.codes.size(), model.buffers);
  }
  CheckReferences(model);
}

}  // namespace kqat::flatbuffer
