// Memory of this process.
#pragma once

#include <cstdint>

namespace kqat::measure {

// Returns the most bytes that were resident at once, libraries included.
uint64_t PeakBytes();

}  // namespace kqat::measure
