#include "lce/isa.h"

#include <cstdlib>

#include "errors/error.h"

namespace kqat::lce {
namespace {

#if defined(__x86_64__)
bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

}  // namespace

std::string Name(Isa isa) {
  switch (isa) {
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kNeon: return "neon";
    case Isa::kPortable: break;
  }
  return "portable";
}

std::vector<Isa> Available() {
  std::vector<Isa> found{Isa::kPortable};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (HasAvx2()) found.push_back(Isa::kAvx2);
  if (HasAvx512()) found.push_back(Isa::kAvx512);
#elif defined(__aarch64__)
  found.push_back(Isa::kNeon);  // every aarch64 processor has it
#endif
  return found;
}

Isa FromName(const std::string& name) {
  std::string usable;
  for (Isa isa : Available()) {
    if (Name(isa) == name) return isa;
    usable += (usable.empty() ? "" : ", ") + Name(isa);
  }
  throw Error("No such instruction set on this machine. Received: KQAT_LCE_ISA=" + name + ". Use " + usable + ".");
}

Isa Choose() {
  const char* name = std::getenv("KQAT_LCE_ISA");
  return name == nullptr || *name == '\0' ? Available().back() : FromName(name);
}

}  // namespace kqat::lce
