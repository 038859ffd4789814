// An operator as LiteRT calls it.
#pragma once

#include <memory>
#include <string>

#include "lce/op.h"
#include "litert/custom_op.h"

namespace kqat::lce {

// Returns a custom operator of that name, which keeps `op` and shares the pool.
//
// LiteRT ignores what a custom operator returns. An operator that cannot go on, which takes a batch that was too large
// for Resize, remembers the reason for ThrowIfFailed.
litert::CustomOp MakeCustomOp(std::string name, std::unique_ptr<Op> op, std::shared_ptr<ThreadPool> pool);

// To be called after LiteRT was: when inputs were resized and after each run.
//
// Throws Error: one of these operators, all from MakeCustomOp, could not compute its output since the last call.
void ThrowIfFailed(const std::vector<litert::CustomOp>& ops);

}  // namespace kqat::lce
