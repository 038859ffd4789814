#include "measure/memory.h"

#include <sys/resource.h>

namespace kqat::measure {

uint64_t PeakBytes() {
  constexpr uint64_t kUnit = 1024;  // of ru_maxrss on Linux
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * kUnit;
}

}  // namespace kqat::measure
