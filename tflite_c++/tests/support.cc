#include "tests/support.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "files/file.h"

namespace kqat::tests {

std::string Recorded() {
  const char* folder = std::getenv("KQAT_RECORDED");
  Require(folder, "The recorded files are needed. Received: no KQAT_RECORDED. Run the tests with ctest.");
  return folder;
}

Bytes RecordedFile(const std::string& name) { return files::ReadFile(Recorded() + "/" + name); }

std::vector<std::string> Cases() {
  std::ifstream file(Recorded() + "/cases.txt");
  std::vector<std::string> names;
  for (std::string name; file >> name;) names.push_back(name);
  Require(!names.empty(), "The recorded files are needed. Received: an empty folder. Run tests/record.py.");
  return names;
}

std::vector<Run> Runs(const std::string& name) {
  std::ifstream file(Recorded() + "/" + name + ".batch");
  std::vector<Run> runs;
  size_t batch, samples, inputs, outputs;
  while (file >> batch >> samples >> inputs >> outputs) {
    Run run{batch, samples, {}, {}};
    const std::string base = name + ".batch" + std::to_string(batch);
    for (size_t i = 0; i < inputs; ++i) run.inputs.push_back(RecordedFile(base + ".in" + std::to_string(i)));
    for (size_t i = 0; i < outputs; ++i) run.outputs.push_back(RecordedFile(base + ".out" + std::to_string(i)));
    runs.push_back(run);
  }
  return runs;
}

size_t Random::Below(size_t limit) {
  // Knuth's constants of a linear congruential generator; the low bits are the weak ones.
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<size_t>(state_ >> 33) % limit;
}

Bytes Mutated(Bytes bytes, Random& random) {
  const size_t kind = random.Below(8);
  if (kind == 0) bytes.resize(random.Below(bytes.size()));
  if (kind == 1) {
    const size_t from = random.Below(bytes.size()), to = random.Below(bytes.size());
    const size_t size = random.Below(std::min(bytes.size() - from, bytes.size() - to)) + 1;
    std::memmove(&bytes[to], &bytes[from], size);
  }
  for (size_t i = random.Below(4) + 1; kind > 1 && i > 0; --i) {
    static const uint8_t kOdd[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
    uint8_t& byte = bytes[random.Below(bytes.size())];
    byte = random.Below(2) ? kOdd[random.Below(sizeof kOdd)] : static_cast<uint8_t>(random.Below(256));
  }
  return bytes;
}

Bytes Sealed(Bytes body) {
  const uint32_t numbers[] = {static_cast<uint32_t>(body.size()),
                              static_cast<uint32_t>(crc32_z(0, body.data(), body.size()))};
  const char magic[] = "KQATPACK";
  body.insert(body.end(), magic, magic + 8);
  const auto* raw = reinterpret_cast<const uint8_t*>(numbers);
  body.insert(body.end(), raw, raw + sizeof numbers);
  return body;
}

}  // namespace kqat::tests
