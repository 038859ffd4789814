// Damaged files with binary operators: every one is refused with an Error or computed, and nothing else happens. The
// damage is drawn from a seed, so that a run can be repeated.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "errors/error.h"
#include "files/file.h"
#include "lce/flexbuffer.h"
#include "lce/rewrite.h"
#include "tests/lce/evaluate.h"

namespace kqat::lce {
namespace {

using Random = std::mt19937;
using Bytes = std::vector<uint8_t>;

constexpr int64_t kLargest = 1 << 20;

size_t Below(Random& random, size_t limit) { return random() % limit; }

// Numbers that break reckoning: around zero, powers of two, and the ends of each width.
uint32_t Awkward(Random& random) {
  const uint32_t numbers[] = {0,   1,   2,   3,     31,    32,         33,         127,
                              128, 255, 256, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
  return numbers[Below(random, std::size(numbers))];
}

Bytes Damage(Random& random, Bytes bytes) {
  for (size_t n = 1 + Below(random, 4); n > 0 && bytes.size() > 8; --n) {
    const size_t at = Below(random, bytes.size() - 4);
    const uint32_t word = Awkward(random);
    switch (Below(random, 6)) {
      case 0: bytes[at] = static_cast<uint8_t>(random()); break;
      case 1: bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1u << Below(random, 8)); break;
      case 2: std::memcpy(&bytes[at / 4 * 4], &word, 4); break;
      case 3: std::memcpy(&bytes[at / 2 * 2], &word, 2); break;
      case 4: std::memmove(&bytes[at], &bytes[Below(random, bytes.size() - 4)], 4); break;
      default: if (Below(random, 4) == 0) bytes.resize(at); break;
    }
  }
  return bytes;
}

struct Tally {
  int refused = 0;
  int computed = 0;
};

void Try(const Bytes& file, ThreadPool& pool, Tally* tally) {
  try {
    Rewrite(file, 1);
    Evaluate(file, Bytes(64, 0x5a), Choose(), pool, kLargest);
    ++tally->computed;
  } catch (const Error&) {
    ++tally->refused;
  }
}

// Options alone, far more often than a whole file would hit them.
void TryOptions(Random& random, int trials, Tally* tally) {
  // {"a": 1, "padding": 300} as FlexBuffers writes it, 16 bits wide.
  const Bytes good = {'a', 0, 'p', 'a', 'd', 'd', 'i', 'n', 'g', 0, 2,  11, 10, 0, 3,
                      0,   1, 0,   2,   0,   1,   0,   44,  1,   5, 5, 6,  37, 1};
  const Options read = ReadOptions(good.data(), good.size());
  Require(read.at("a") == 1 && read.at("padding") == 300, "Sound options are not read as they are. Repair the reader.");
  for (int i = 0; i < trials; ++i) {
    const Bytes bad = Damage(random, good);
    try {
      ReadOptions(bad.data(), bad.size());
      ++tally->computed;
    } catch (const Error&) {
      ++tally->refused;
    }
  }
}

int Main(const std::string& folder, int trials) {
  Random random(7);
  ThreadPool pool(1);
  Tally files, options;
  TryOptions(random, trials * 1000, &options);
  std::ifstream list(folder + "/cases.txt");
  for (std::string name, tolerance; list >> name >> tolerance;) {
    const Bytes file = files::ReadFile(folder + "/" + name + ".tflite");
    for (int i = 0; i < trials; ++i) Try(Damage(random, file), pool, &files);
    for (size_t size = 0; size < std::min<size_t>(file.size(), 64); ++size) {
      Try(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(size)), pool, &files);
    }
  }
  std::printf("files: %d refused, %d computed; options: %d refused, %d read\n", files.refused, files.computed,
              options.refused, options.computed);
  return files.refused == 0 || files.computed == 0 || options.refused == 0 || options.computed == 0;
}

}  // namespace
}  // namespace kqat::lce

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw kqat::Error("Which files? Received: no folder. Use the folder that record.py wrote to.");
    return kqat::lce::Main(argv[1], argc > 2 ? std::atoi(argv[2]) : 40);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
