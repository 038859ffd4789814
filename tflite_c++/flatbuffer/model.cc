#include "flatbuffer/model.h"

#include <algorithm>

#include "errors/error.h"
#include "flatbuffer/schema.h"

namespace kqat::flatbuffer {
namespace {

constexpr uint64_t kLargestCount = uint64_t{1} << 40;

// Reads every table of a vector with `read`.
template <typename Read>
auto Each(const Table& table, int field, Read read) {
  std::vector<decltype(read(table))> results;
  for (const Table& entry : table.Tables(field)) results.push_back(read(entry));
  return results;
}

Quantization ReadQuantization(const Table& tensor) {
  namespace f = schema::quantization;
  const auto table = tensor.Child(schema::tensor::kQuantization);
  if (!table) return {};
  return {table->Numbers<float>(f::kScale), table->Numbers<int64_t>(f::kZeroPoint), table->Number<int32_t>(f::kAxis)};
}

Tensor ReadTensor(const Table& table) {
  namespace f = schema::tensor;
  return {table,
          table.Text(f::kName),
          table.Numbers<int32_t>(f::kShape),
          table.Numbers<int32_t>(f::kShapeSignature),
          table.Number<int8_t>(f::kType),
          table.Number<uint32_t>(f::kBuffer),
          ReadQuantization(table),
          table.Number<uint8_t>(f::kIsVariable) != 0,
          table.Child(f::kSparsity).has_value()};
}

Operator ReadOperator(const Table& table) {
  namespace f = schema::op;
  table.Child(f::kOptions);  // that it lies within the file
  return {table,
          table.Number<uint32_t>(f::kCode),
          table.Numbers<int32_t>(f::kInputs),
          table.Numbers<int32_t>(f::kOutputs),
          table.Numbers<int32_t>(f::kIntermediates),
          table.Bytes(f::kCustomOptions)};
}

// Old files have the operator in a byte, new ones in a word; the larger one counts.
OperatorCode ReadCode(const Table& table) {
  namespace f = schema::operator_code;
  const int32_t builtin =
      std::max<int32_t>(table.Number<int32_t>(f::kBuiltin), table.Number<int8_t>(f::kDeprecatedBuiltin));
  return {table, builtin, table.Text(f::kCustomCode), table.Number<int32_t>(f::kVersion, 1)};
}

Subgraph ReadSubgraph(const Table& table) {
  namespace f = schema::subgraph;
  return {table, Each(table, f::kTensors, ReadTensor), table.Numbers<int32_t>(f::kInputs),
          table.Numbers<int32_t>(f::kOutputs), Each(table, f::kOperators, ReadOperator)};
}

Buffer ReadBuffer(const Table& table) {
  namespace f = schema::buffer;
  return {table, table.Bytes(f::kData), table.Number<uint64_t>(f::kOffset), table.Number<uint64_t>(f::kSize)};
}

Metadata ReadMetadata(const Table& table) {
  return {table.Text(schema::metadata::kName), table.Number<uint32_t>(schema::metadata::kBuffer)};
}

TensorMap ReadMap(const Table& table) {
  return {table.Text(schema::tensor_map::kName), table.Number<uint32_t>(schema::tensor_map::kTensor)};
}

Signature ReadSignature(const Table& table) {
  namespace f = schema::signature;
  return {table.Text(f::kKey), table.Number<uint32_t>(f::kSubgraph), Each(table, f::kInputs, ReadMap),
          Each(table, f::kOutputs, ReadMap)};
}

}  // namespace

Model ReadModel(const View& file) {
  namespace f = schema::model;
  const Table root = Root(file);
  return {root,
          root.Number<uint32_t>(f::kVersionField),
          Each(root, f::kOperatorCodes, ReadCode),
          Each(root, f::kSubgraphs, ReadSubgraph),
          Each(root, f::kBuffers, ReadBuffer),
          Each(root, f::kMetadata, ReadMetadata),
          Each(root, f::kSignatures, ReadSignature)};
}

uint64_t CountOf(const std::vector<int32_t>& shape) {
  uint64_t count = 1;
  for (int32_t size : shape) {
    Require(size >= 0 && count <= kLargestCount,
            "The .tflite file is damaged. Received: a tensor of negative or endless size. Copy or export it again.");
    count *= static_cast<uint64_t>(size);
  }
  Require(count <= kLargestCount,
          "The .tflite file is damaged. Received: a tensor of endless size. Copy or export it again.");
  return count;
}

}  // namespace kqat::flatbuffer
