// Files of Larq Compute Engine made fit for LiteRT as it is.
//
// LiteRT 2.3 cannot call LCE's operators as they stand: it crashes on inputs that are left out, hands over no
// constants, no options and no types, and keeps one kernel for all nodes of a name. So every binary node gets an
// operator code of its own, `LceBconv2d#0` and so on, and keeps its activations as only input; its constants and
// options are read here and live in its kernel.
#pragma once

#include <cstdint>
#include <vector>

#include "flatbuffer/model.h"
#include "litert/custom_op.h"

namespace kqat::lce {

// Whether a file has operators of Larq Compute Engine.
bool HasBinaryOperators(const flatbuffer::Model& model);

struct Rewritten {
  std::vector<uint8_t> bytes;                 // of the file to load
  std::vector<litert::CustomOp> custom_ops;   // to be registered with it
};

// Checks a file and returns it, unchanged if it has no binary operators, and the kernels that it needs. They share
// `threads` threads, which start with the first run, and use the instruction set that Choose (isa.h) returns.
//
// Throws Error: the file is damaged, or LCE would not compute it either.
Rewritten Rewrite(std::vector<uint8_t> bytes, int threads);

}  // namespace kqat::lce
