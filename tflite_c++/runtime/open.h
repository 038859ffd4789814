// From a path to a file that is ready to run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace kqat::runtime {

struct OpenOptions {
  int threads = 1;
  bool lcompute = false;  // whether binary operators of Larq Compute Engine may run
  bool trust = false;     // whether to do without a first run in a process of its own
};

// Reads a file, expands it if it is packed, checks it, gives binary operators their kernels, and loads it.
//
// Throws Error: it cannot be read, is damaged, or holds operators that cannot run.
std::unique_ptr<Runtime> Open(const std::string& path, const OpenOptions& options);

// The same for bytes.
std::unique_ptr<Runtime> OpenBytes(std::vector<uint8_t> bytes, const OpenOptions& options);

}  // namespace kqat::runtime
