// What goes wrong, as one exception: what was received, and what would work.
#pragma once

#include <stdexcept>
#include <string>

namespace kqat {

// A file, an argument or a runtime that cannot be used. The message ends with a remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws `Error(problem)` unless `condition` holds. For messages that cost nothing to make.
inline void Require(bool condition, const char* problem) {
  if (!condition) throw Error(problem);
}

}  // namespace kqat
