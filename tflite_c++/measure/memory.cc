#include "measure/memory.h"

#include <fstream>
#include <string>

namespace kqat::measure {

// Not ru_maxrss of getrusage, which a program inherits from the one that started it.
uint64_t PeakBytes() {
  constexpr uint64_t kUnit = 1024;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t value = 0;
    if (word == "VmHWM:" && status >> value) return value * kUnit;
  }
  return 0;
}

}  // namespace kqat::measure
