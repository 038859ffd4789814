#include "litert/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "errors/error.h"

namespace kqat::litert {
namespace {

constexpr char kRemedy[] =
    " Install ai-edge-litert 2.3 (pip install 'ai-edge-litert==2.3.*') and set KQAT_LITERT to the libLiteRt.so in its "
    "folder.";
constexpr unsigned char kUntouched = 0xA5;

// Returns the library, where the build found it unless a path is given, else where the dynamic linker does.
void* Open(const std::string& path) {
  void* library = dlopen(path.empty() ? KQAT_LITERT_FOUND : path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library && path.empty()) library = dlopen("libLiteRt.so", RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Error("LiteRT cannot be loaded. Received: " + std::string(dlerror()) + "." + kRemedy);
  return library;
}

template <typename Function>
void Find(void* library, const char* name, Function& function) {
  void* symbol = dlsym(library, name);
  if (!symbol) {
    throw Error("This release of LiteRT has another C API. Received: a library without " + std::string(name) + "." +
                kRemedy);
  }
  static_assert(sizeof symbol == sizeof function);
  std::memcpy(&function, &symbol, sizeof symbol);
}

// A type and untouched bytes behind it, which a library with a larger structure would overwrite.
struct Guarded {
  LiteRtRankedTensorType type;
  unsigned char behind[64];

  Guarded() { std::memset(static_cast<void*>(this), kUntouched, sizeof *this); }
  bool IntactBehind() const {
    for (unsigned char byte : behind) {
      if (byte != kUntouched) return false;
    }
    return true;
  }
};

LiteRtRankedTensorType SampleType() {
  LiteRtRankedTensorType type{};
  type.element_type = kLiteRtElementTypeInt8;
  type.layout.rank = kLiteRtTensorMaxRank;
  for (int i = 0; i < kLiteRtTensorMaxRank; ++i) type.layout.dimensions[i] = 1 + i % 2;
  return type;
}

bool SameType(const LiteRtRankedTensorType& a, const LiteRtRankedTensorType& b) {
  return a.element_type == b.element_type && a.layout.rank == b.layout.rank &&
         a.layout.has_strides == b.layout.has_strides &&
         std::memcmp(a.layout.dimensions, b.layout.dimensions, sizeof a.layout.dimensions) == 0;
}

// Sends a type through the library and looks whether the same comes back, in the size that c_api.h states.
void CheckStructures(const Functions& api) {
  alignas(kLiteRtHostMemoryAlignment) unsigned char memory[64] = {};
  const LiteRtRankedTensorType sent = SampleType();
  Guarded received;
  LiteRtTensorBuffer buffer = nullptr;
  bool sound = api.CreateTensorBufferFromHostMemory(&sent, memory, 16, nullptr, &buffer) == kLiteRtStatusOk;
  if (sound) {
    size_t size = 0;
    sound = api.GetTensorBufferTensorType(buffer, &received.type) == kLiteRtStatusOk && received.IntactBehind() &&
            SameType(sent, received.type) && api.GetTensorBufferSize(buffer, &size) == kLiteRtStatusOk && size == 16;
    api.DestroyTensorBuffer(buffer);
  }
  if (!sound) {
    throw Error(
        std::string("This release of LiteRT has another C API. Received: a library with structures of another size.") +
        kRemedy);
  }
}

}  // namespace

const Functions& Api() {
  static const Functions functions = [] {
    const char* path = std::getenv("KQAT_LITERT");
    return LoadLibrary(path ? path : "");
  }();
  return functions;
}

Functions LoadLibrary(const std::string& path) {
  void* library = Open(path);
  Functions functions{};
#define KQAT_LITERT_FIND(name) Find(library, "LiteRt" #name, functions.name);
  KQAT_LITERT_FUNCTIONS(KQAT_LITERT_FIND)
#undef KQAT_LITERT_FIND
  CheckStructures(functions);
  return functions;
}

void Check(LiteRtStatus status, const char* what) {
  if (status == kLiteRtStatusOk) return;
  throw Error(std::string("LiteRT cannot ") + what + ". Received: status " + std::to_string(status) +
              ". Use a file written by kqat.export_tflite.");
}

}  // namespace kqat::litert
