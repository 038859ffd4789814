#include "lce/rewrite.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "flatbuffer/patch.h"
#include "flatbuffer/schema.h"
#include "flatbuffer/structure.h"
#include "lce/isa.h"
#include "lce/custom_op.h"
#include "lce/node.h"

namespace kqat::lce {
namespace {

using flatbuffer::Patch;

constexpr size_t kWord = sizeof(uint32_t);

// A table put together by hand: for each field where it lies in the table, 0 if it is left out. Returns where the table
// starts, with a word before its first field.
size_t AppendTable(Patch* patch, const std::vector<uint16_t>& fields, uint16_t size) {
  const auto index_size = static_cast<uint16_t>(2 * (2 + fields.size()));
  const size_t index = patch->AppendRaw((index_size + kWord - 1) / kWord * kWord + size, kWord);
  const size_t table = index + (index_size + kWord - 1) / kWord * kWord;
  patch->Set<uint16_t>(index, index_size);
  patch->Set<uint16_t>(index + 2, size);
  for (size_t i = 0; i < fields.size(); ++i) patch->Set<uint16_t>(index + 4 + 2 * i, fields[i]);
  patch->Set<int32_t>(table, static_cast<int32_t>(table - index));
  return table;
}

// A node with an operator code, one input and one output, and nothing else.
size_t AppendOperator(Patch* patch, uint32_t code, int32_t input, int32_t output) {
  const size_t table = AppendTable(patch, {4, 8, 12}, 16);
  patch->Set<uint32_t>(table + 4, code);
  patch->Point(table + 8, patch->AppendNumbers({input}));
  patch->Point(table + 12, patch->AppendNumbers({output}));
  return table;
}

struct Code {
  int32_t builtin;
  std::string custom;
  int32_t version;
};

size_t AppendCode(Patch* patch, const Code& code) {
  constexpr int32_t kLargestOldCode = 127;
  const bool named = !code.custom.empty();
  const size_t table = AppendTable(patch, {16, static_cast<uint16_t>(named ? 12 : 0), 4, 8}, 20);
  patch->Set<int32_t>(table + 4, code.version);
  patch->Set<int32_t>(table + 8, code.builtin);
  if (named) patch->Point(table + 12, patch->AppendString(code.custom));
  patch->Set<int8_t>(table + 16, static_cast<int8_t>(std::min(code.builtin, kLargestOldCode)));
  return table;
}

// Returns where a vector of tables has its entries.
size_t Entries(const flatbuffer::Table& table, int field) {
  const size_t at = table.Find(field);
  return at + table.file().Number<uint32_t>(at) + kWord;
}

// Offsets point forward, so that codes which stay are written again behind the list that names them.
void ReplaceCodes(const flatbuffer::Model& model, const std::vector<Code>& added, Patch* patch) {
  std::vector<Code> codes;
  for (const flatbuffer::OperatorCode& code : model.codes) codes.push_back({code.builtin, code.custom, code.version});
  codes.insert(codes.end(), added.begin(), added.end());
  const size_t list = patch->AppendRaw(kWord * (1 + codes.size()), kWord);
  patch->Set<uint32_t>(list, static_cast<uint32_t>(codes.size()));
  for (size_t i = 0; i < codes.size(); ++i) patch->Point(list + kWord * (1 + i), AppendCode(patch, codes[i]));
  patch->Point(model.table.Find(schema::model::kOperatorCodes), list);
}

}  // namespace

bool HasBinaryOperators(const flatbuffer::Model& model) {
  return std::any_of(model.codes.begin(), model.codes.end(), IsBinary);
}

Rewritten Rewrite(std::vector<uint8_t> bytes, int threads) {
  const flatbuffer::View view(bytes.data(), bytes.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  flatbuffer::CheckStructure(model);
  if (!HasBinaryOperators(model)) return {std::move(bytes), {}};
  const auto pool = std::make_shared<ThreadPool>(threads);
  const Isa isa = Choose();
  Patch patch(bytes);  // a copy: the model still refers to the old bytes
  Rewritten result;
  std::vector<Code> codes;
  for (const flatbuffer::Subgraph& graph : model.subgraphs) {
    for (size_t i = 0; i < graph.operators.size(); ++i) {
      const flatbuffer::Operator& node = graph.operators[i];
      const flatbuffer::OperatorCode& code = model.codes.at(node.code);
      if (!IsBinary(code)) continue;
      codes.push_back({schema::kCustom, code.custom + "#" + std::to_string(codes.size()), 1});
      result.custom_ops.push_back(MakeCustomOp(codes.back().custom, ReadNode(model, graph, node, isa), pool));
      const auto number = static_cast<uint32_t>(model.codes.size() + codes.size() - 1);
      const size_t table = AppendOperator(&patch, number, node.inputs[0], node.outputs[0]);
      patch.Point(Entries(graph.table, schema::subgraph::kOperators) + kWord * i, table);
    }
  }
  ReplaceCodes(model, codes, &patch);
  result.bytes = patch.Take();
  return result;
}

}  // namespace kqat::lce
