// C++ computes what Python computes, bit for bit: the same kernels run on the same bytes.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "data/dataset.h"
#include "programs/evaluate.h"
#include "runtime/open.h"
#include "tests/support.h"

namespace kqat {
namespace {

using tests::Bytes;

runtime::OpenOptions Trusting(int threads = 1) {
  runtime::OpenOptions options;
  options.trust = true;
  options.threads = threads;
  return options;
}

// Runs all samples of a recorded run and returns the stored outputs.
std::vector<Bytes> RunAll(runtime::Runtime& runtime, const tests::Run& run) {
  std::vector<Bytes> outputs(run.outputs.size());
  for (size_t start = 0; start < run.samples; start += run.batch) {
    const size_t count = std::min(run.batch, run.samples - start);
    runtime.Resize(count);
    for (size_t i = 0; i < run.inputs.size(); ++i) {
      const size_t size = runtime.inputs()[i].SampleBytes();
      std::memcpy(runtime.input(i), run.inputs[i].data() + start * size, count * size);
    }
    runtime.Run();
    for (size_t i = 0; i < outputs.size(); ++i) {
      const size_t size = count * runtime.outputs()[i].SampleBytes();
      outputs[i].insert(outputs[i].end(), runtime.output(i), runtime.output(i) + size);
    }
  }
  return outputs;
}

class Parity : public testing::TestWithParam<std::string> {};

TEST_P(Parity, OutputsAreEqualAtEveryBatch) {
  const auto runtime = runtime::Open(tests::Recorded() + "/" + GetParam() + ".tflite", Trusting());
  const std::vector<tests::Run> runs = tests::Runs(GetParam());
  ASSERT_EQ(runs.size(), 2u);
  for (const tests::Run& run : runs) EXPECT_EQ(RunAll(*runtime, run), run.outputs) << "batch " << run.batch;
}

TEST_P(Parity, ThreadsChangeNothing) {
  const auto runtime = runtime::Open(tests::Recorded() + "/" + GetParam() + ".tflite", Trusting(3));
  const tests::Run run = tests::Runs(GetParam()).back();
  EXPECT_EQ(RunAll(*runtime, run), run.outputs);
}

TEST_P(Parity, RehearsalAcceptsSoundFiles) {
  EXPECT_NO_THROW(runtime::Open(tests::Recorded() + "/" + GetParam() + ".tflite", {}));
}

// From pixels on: decoding, normalization and the step into the stored type are the ones that Python takes.
TEST_P(Parity, PicturesGiveTheSameOutputs) {
  auto runtime = runtime::Open(tests::Recorded() + "/" + GetParam() + ".tflite", Trusting());
  if (runtime->inputs().size() > 1) return;  // not a classifier of pictures
  programs::Classifier classifier(std::move(runtime), {});
  const auto set = data::Open(tests::Recorded() + "/pictures.idx", "", {});
  EXPECT_EQ(programs::Evaluate(classifier, *set, set->size()).outputs, tests::Runs(GetParam())[0].outputs[0]);
}

INSTANTIATE_TEST_SUITE_P(Files, Parity, testing::ValuesIn(tests::Cases()), [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kqat
