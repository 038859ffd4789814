// A first run in a process of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/runtime.h"

namespace kqat::runtime {

constexpr unsigned kRehearsalSeconds = 120;

// Loads a file and runs it once on zeros in a child process. LiteRT takes more on trust than can be checked from
// outside, options of operators among it, and a hostile file can crash it; here it crashes the child.
//
// Call it before the program starts threads.
//
// Throws Error: LiteRT refuses the file, does not survive it, or does not end in time.
void Rehearse(const std::vector<uint8_t>& bytes, const Settings& settings, unsigned seconds = kRehearsalSeconds);

}  // namespace kqat::runtime
