// The files that record.py wrote, on every instruction set and with several threads: the recorded outputs, bit for bit
// unless the file has other operators too. Through LiteRT, or without it where `--direct` is given.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "errors/error.h"
#include "files/file.h"
#include "tests/lce/evaluate.h"
#ifndef KQAT_WITHOUT_LITERT
#include "runtime/open.h"
#endif

namespace kqat::lce {
namespace {

struct Case {
  std::string name;
  double tolerance = 0;
  std::vector<uint8_t> file, input, output;
};

std::vector<Case> ReadCases(const std::string& folder) {
  std::ifstream list(folder + "/cases.txt");
  std::vector<Case> cases;
  for (std::string line; std::getline(list, line);) {
    Case entry;
    std::istringstream(line) >> entry.name >> entry.tolerance;
    const std::string stem = folder + "/" + entry.name;
    entry.file = files::ReadFile(stem + ".tflite");
    entry.input = files::ReadFile(stem + ".in");
    entry.output = files::ReadFile(stem + ".out");
    cases.push_back(std::move(entry));
  }
  Require(!cases.empty(), "There is nothing to compare with. Run record.py into the folder first.");
  return cases;
}

bool Same(const Case& entry, const uint8_t* found, size_t size) {
  if (size != entry.output.size()) return false;
  if (entry.tolerance <= 0) return std::memcmp(found, entry.output.data(), size) == 0;
  for (size_t i = 0; i < size; i += sizeof(float)) {
    float a, b;
    std::memcpy(&a, found + i, sizeof a);
    std::memcpy(&b, entry.output.data() + i, sizeof b);
    if (!(std::fabs(a - b) <= entry.tolerance * std::max(1.0f, std::fabs(b)))) return false;
  }
  return true;
}

#ifndef KQAT_WITHOUT_LITERT
// Runs the input `times` times in one batch.
bool RunWithLiteRt(const Case& entry, int threads, size_t times) {
  const auto runtime = runtime::OpenBytes(entry.file, {threads, /*lcompute=*/true, /*trust=*/true});
  if (times > 1) runtime->Resize(times * runtime->batch());
  for (size_t i = 0; i < times; ++i) {
    std::memcpy(runtime->input(0) + i * entry.input.size(), entry.input.data(), entry.input.size());
  }
  runtime->Run();
  bool same = true;
  for (size_t i = 0; i < times; ++i) {
    const size_t size = entry.output.size();
    same &= Same(entry, runtime->output(0) + i * size, size);
  }
  return same;
}

bool Resizable(const Case& entry) {
  return runtime::OpenBytes(entry.file, {1, /*lcompute=*/true, /*trust=*/true})->resizable();
}
#endif

bool RunDirectly(const Case& entry, Isa isa, int threads) {
  ThreadPool pool(threads);
  const std::vector<uint8_t> found = Evaluate(entry.file, entry.input, isa, pool, int64_t{1} << 30);
  return Same(entry, found.data(), found.size());
}

// Returns how many ways to run a case gave something else, and counts all of them.
int RunCase(const Case& entry, bool direct, int* runs) {
  int wrong = 0;
  const auto expect = [&](bool same, Isa isa, const char* how) {
    ++*runs;
    if (same) return;
    std::printf("%s, %s, %s: differs\n", entry.name.c_str(), Name(isa).c_str(), how);
    ++wrong;
  };
  for (Isa isa : Available()) {
    if (direct) {
      if (!IsAllBinary(entry.file)) continue;
      expect(RunDirectly(entry, isa, 1), isa, "1 thread");
      expect(RunDirectly(entry, isa, 3), isa, "3 threads");
      continue;
    }
#ifndef KQAT_WITHOUT_LITERT
    setenv("KQAT_LCE_ISA", Name(isa).c_str(), 1);
    expect(RunWithLiteRt(entry, 1, 1), isa, "1 thread");
    expect(RunWithLiteRt(entry, 2, 1), isa, "2 threads");
    if (Resizable(entry)) expect(RunWithLiteRt(entry, 1, 3), isa, "a batch of 3");
#endif
  }
  return wrong;
}

int Main(const std::string& folder, bool direct) {
  int wrong = 0, runs = 0;
  for (const Case& entry : ReadCases(folder)) wrong += RunCase(entry, direct, &runs);
  std::printf("%d runs, %d differ\n", runs, wrong);
  return wrong != 0 || runs == 0;
}

}  // namespace
}  // namespace kqat::lce

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw kqat::Error("Which files? Received: no folder. Use the folder that record.py wrote to.");
    return kqat::lce::Main(argv[1], argc > 2 && std::string(argv[2]) == "--direct");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
