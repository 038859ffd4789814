// What the tests share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kqat::tests {

using Bytes = std::vector<uint8_t>;

// Returns the folder that tests/record.py filled; the environment variable KQAT_RECORDED names it.
std::string Recorded();

// Returns a file of that folder.
Bytes RecordedFile(const std::string& name);

// One way in which Python ran a file.
struct Run {
  size_t batch = 0;
  size_t samples = 0;
  std::vector<Bytes> inputs;
  std::vector<Bytes> outputs;
};

// Returns the names of all recorded files, and how one was run.
std::vector<std::string> Cases();
std::vector<Run> Runs(const std::string& name);

// Returns the message of the kqat::Error that a function throws; "" if it throws none.
template <typename Function>
std::string ErrorOf(Function function);

// Numbers that are the same on every machine, unlike those of <random>'s distributions.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 1) {}
  size_t Below(size_t limit);

 private:
  uint64_t state_;
};

// Returns bytes of which a few were changed, cut off or doubled.
Bytes Mutated(Bytes bytes, Random& random);

// Returns the bytes with the end of a packed file that vouches for them.
Bytes Sealed(Bytes body);

}  // namespace kqat::tests

#include "errors/error.h"

template <typename Function>
std::string kqat::tests::ErrorOf(Function function) {
  try {
    function();
  } catch (const kqat::Error& error) {
    return error.what();
  }
  return "";
}
