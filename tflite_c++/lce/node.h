// From a node of a file to an operator that can run.
#pragma once

#include <memory>
#include <string>

#include "flatbuffer/model.h"
#include "lce/op.h"

namespace kqat::lce {

// Whether an operator code is one of Larq Compute Engine.
bool IsBinary(const flatbuffer::OperatorCode& code);

// Reads a node whose code IsBinary: its options, its constants and the types of its tensors. The operator has been
// prepared for the shapes that the file gives.
//
// Throws Error: LCE would not compute the node, or the file gives it another output than it has.
std::unique_ptr<Op> ReadNode(const flatbuffer::Model& model, const flatbuffer::Subgraph& graph,
                             const flatbuffer::Operator& node, Isa isa);

}  // namespace kqat::lce
