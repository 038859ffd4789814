#include "lce/kernels.h"

namespace kqat::lce {

const Kernels& KernelsFor(Isa isa, int64_t bits) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return Avx512Kernels();
  if (isa == Isa::kAvx2 && bits <= kAvx2MaxBits) return Avx2Kernels();
#elif defined(__aarch64__)
  if (isa == Isa::kNeon) return NeonKernels();
#endif
  (void)isa;
  (void)bits;
  return PortableKernels();
}

}  // namespace kqat::lce
