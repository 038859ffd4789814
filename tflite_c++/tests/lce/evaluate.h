// Runs files of binary operators only, without LiteRT: on every processor, and on files that LiteRT should not see.
#pragma once

#include <cstdint>
#include <vector>

#include "lce/isa.h"
#include "lce/thread_pool.h"

namespace kqat::lce {

// Returns the output of the file's first graph for an input that is repeated or cut off to its size.
//
// Throws Error: the file cannot be read, has other operators, or takes more than `largest` bytes for a tensor.
std::vector<uint8_t> Evaluate(const std::vector<uint8_t>& file, const std::vector<uint8_t>& input, Isa isa,
                              ThreadPool& pool, int64_t largest);

// Whether Evaluate can run a file: all of its operators are binary.
bool IsAllBinary(const std::vector<uint8_t>& file);

}  // namespace kqat::lce
