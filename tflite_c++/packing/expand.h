// Weights of 1, 2 and 4 bits back to the INT8 that LiteRT's exact kernels read.
#pragma once

#include <cstdint>
#include <vector>

namespace kqat::packing {

// Returns a file that computes what the packed one was made from; any other file as it is.
//
// The expanded weights lie behind the old file, which keeps the packed ones: at most half as much again in memory.
//
// Throws Error: the packed file is damaged; not one bit of it may differ from what was written.
std::vector<uint8_t> Expand(std::vector<uint8_t> bytes);

}  // namespace kqat::packing
