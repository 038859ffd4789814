// Which instruction sets the kernels may use, and which one they do.
#pragma once

#include <string>
#include <vector>

namespace kqat::lce {

enum class Isa { kPortable, kAvx2, kAvx512, kNeon };

// Returns "portable", "avx2", "avx512" or "neon".
std::string Name(Isa isa);

// Returns what this machine and this build have, the fastest last; never empty.
std::vector<Isa> Available();

// Returns the fastest instruction set, or the one that the environment variable KQAT_LCE_ISA names.
// Throws Error: that is unknown or not available here.
Isa Choose();

// Returns the instruction set of that name. Throws Error as Choose does.
Isa FromName(const std::string& name);

}  // namespace kqat::lce
