// An operator as LiteRT calls it.
#pragma once

#include <memory>
#include <string>

#include "lce/op.h"
#include "litert/custom_op.h"

namespace kqat::lce {

// Returns a custom operator of that name, which keeps `op` and shares the pool. It notes as its failure why it cannot
// go on, as with a batch that is too large for it.
litert::CustomOp MakeCustomOp(std::string name, std::unique_ptr<Op> op, std::shared_ptr<ThreadPool> pool);

}  // namespace kqat::lce
