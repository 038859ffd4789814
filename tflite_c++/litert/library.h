// `libLiteRt.so`, found and checked once when a program first needs it.
#pragma once

#include <string>

#include "litert/c_api.h"

namespace kqat::litert {

// The functions of c_api.h, looked up in the library: `Api().RunCompiledModel(...)`.
struct Functions {
#define KQAT_LITERT_MEMBER(name) decltype(&::LiteRt##name) name;
  KQAT_LITERT_FUNCTIONS(KQAT_LITERT_MEMBER)
#undef KQAT_LITERT_MEMBER
};

// Returns the library's functions. The first call loads the library: the file that the environment variable KQAT_LITERT
// names, else `libLiteRt.so` where the build found it or the dynamic linker does.
//
// Throws Error: there is no library, it lacks a function, or its structures have another layout than c_api.h.
const Functions& Api();

// Loads a library and checks it; for Api() and its tests. An empty path means the default one.
Functions LoadLibrary(const std::string& path);

// Throws Error with `what` unless a call succeeded.
void Check(LiteRtStatus status, const char* what);

}  // namespace kqat::litert
