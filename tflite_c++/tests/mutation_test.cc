// Damaged files are errors, never crashes: thousands of them, the same ones each time.

#include <gtest/gtest.h>

#include "flatbuffer/structure.h"
#include "packing/expand.h"
#include "packing/form.h"
#include "runtime/open.h"
#include "tests/support.h"

namespace kqat {
namespace {

using tests::Bytes;
using tests::ErrorOf;

constexpr int kParsed = 2000;  // mutations of each file that our own code reads
constexpr int kRun = 40;       // and that LiteRT gets to see, if they pass

class Mutation : public testing::TestWithParam<std::string> {
 protected:
  Bytes File() const { return tests::RecordedFile(GetParam() + ".tflite"); }
};

// Returns a mutation of a file, of a packed one with a checksum that is right again.
Bytes Mutate(const Bytes& file, tests::Random& random) {
  if (!packing::IsPacked(file)) return tests::Mutated(file, random);
  Bytes body = file;
  body.resize(packing::Unsealed(file));
  return tests::Sealed(tests::Mutated(std::move(body), random));
}

TEST_P(Mutation, OurReadersTellErrors) {
  tests::Random random(3);
  const Bytes file = File();
  int refused = 0;
  for (int i = 0; i < kParsed; ++i) {
    const Bytes mutated = Mutate(file, random);
    refused += !ErrorOf([&] {
                  const Bytes expanded = packing::Expand(mutated);
                  const flatbuffer::View view(expanded.data(), expanded.size());
                  CheckStructure(flatbuffer::ReadModel(view));
                }).empty();
  }
  // Most changes hit weights, which may have any value.
  EXPECT_GT(refused, kParsed / 8);
  EXPECT_LT(refused, kParsed);
}

// What passes our checks may still crash LiteRT, but only in the rehearsal's process.
TEST_P(Mutation, LiteRtCannotTakeTheProgramDown) {
  tests::Random random(4);
  const Bytes file = File();
  for (int i = 0; i < kRun; ++i) {
    const Bytes mutated = Mutate(file, random);
    ErrorOf([&] { runtime::OpenBytes(mutated, {})->Run(); });
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Mutation, testing::ValuesIn(tests::Cases()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kqat
