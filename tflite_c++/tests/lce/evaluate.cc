#include "tests/lce/evaluate.h"

#include <algorithm>
#include <map>
#include <memory>

#include "errors/error.h"
#include "flatbuffer/structure.h"
#include "lce/node.h"

namespace kqat::lce {

bool IsAllBinary(const std::vector<uint8_t>& file) {
  const flatbuffer::View view(file.data(), file.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  return std::all_of(model.codes.begin(), model.codes.end(), IsBinary);
}

std::vector<uint8_t> Evaluate(const std::vector<uint8_t>& file, const std::vector<uint8_t>& input, Isa isa,
                              ThreadPool& pool, int64_t largest) {
  const flatbuffer::View view(file.data(), file.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  flatbuffer::CheckStructure(model);
  Require(!model.subgraphs.empty(), "The file computes nothing. Received: no graph. Use another.");
  const flatbuffer::Subgraph& graph = model.subgraphs[0];
  std::map<int32_t, std::vector<uint8_t>> tensors;
  for (const flatbuffer::Operator& node : graph.operators) {
    Require(IsBinary(model.codes.at(node.code)), "Only binary operators run here. Received: another. Use LiteRT.");
    const std::unique_ptr<Op> op = ReadNode(model, graph, node, isa);
    Require(op->input_bytes() <= largest && op->output_bytes() <= largest, "Too large to run here. Use LiteRT.");
    std::vector<uint8_t>& from = tensors[node.inputs[0]];
    const auto size = static_cast<size_t>(op->input_bytes());
    if (from.empty()) from = input;
    for (size_t i = 0; from.size() < size; ++i) from.push_back(from.empty() ? uint8_t{0} : from[i]);
    std::vector<uint8_t> to(static_cast<size_t>(op->output_bytes()));
    op->Run(from.data(), to.data(), pool);
    tensors[node.outputs[0]] = std::move(to);
  }
  Require(!graph.outputs.empty(), "The file computes nothing. Received: no outputs. Use another.");
  return tensors[graph.outputs[0]];
}

}  // namespace kqat::lce
