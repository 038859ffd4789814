// Kernels of ours in LiteRT, and what a kernel that misbehaves does to a rehearsal.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "flatbuffer/model.h"
#include "flatbuffer/patch.h"
#include "flatbuffer/schema.h"
#include "litert/library.h"
#include "runtime/rehearsal.h"
#include "tests/support.h"

namespace kqat::runtime {
namespace {

using tests::Bytes;
using tests::ErrorOf;

constexpr char kName[] = "Negate";

// Appends the table of an operator code: a list of four fields, then a custom code and a builtin code.
size_t AppendCode(flatbuffer::Patch& patch) {
  constexpr uint16_t kIndex[] = {12, 12, 0, 4, 0, 8};
  const size_t index = patch.AppendRaw(sizeof kIndex, 4), table = patch.AppendRaw(12, 4);
  std::memcpy(patch.At(index), kIndex, sizeof kIndex);
  patch.Set<int32_t>(table, static_cast<int32_t>(table - index));
  patch.Set<int32_t>(table + 8, schema::kCustom);
  patch.Point(table + 4, patch.AppendString(kName));
  return table;
}

// Returns the float net with its last operator, the softmax, replaced by a custom one.
Bytes WithCustomOp() {
  Bytes bytes = tests::RecordedFile("float.tflite");
  const flatbuffer::View view(bytes.data(), bytes.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  const uint32_t code = model.subgraphs[0].operators.back().code;
  const size_t field = model.table.Find(schema::model::kOperatorCodes);
  const size_t entry = field + view.Number<uint32_t>(field) + sizeof(uint32_t) * (code + size_t{1});
  flatbuffer::Patch patch(bytes);
  patch.Point(entry, AppendCode(patch));
  return patch.Take();
}

LiteRtStatus SameLayout(void*, size_t, const LiteRtLayout* inputs, size_t, LiteRtLayout* outputs) {
  outputs[0] = inputs[0];
  return kLiteRtStatusOk;
}

LiteRtStatus Negate(void* user_data, size_t, const LiteRtTensorBuffer* inputs, size_t, LiteRtTensorBuffer* outputs) {
  const litert::Functions& api = litert::Api();
  void *from = nullptr, *to = nullptr;
  size_t size = 0;
  api.GetTensorBufferSize(inputs[0], &size);
  api.LockTensorBuffer(inputs[0], &from, kLiteRtTensorBufferLockModeRead);
  api.LockTensorBuffer(outputs[0], &to, kLiteRtTensorBufferLockModeWrite);
  for (size_t i = 0; i < size / sizeof(float); ++i) static_cast<float*>(to)[i] = -static_cast<float*>(from)[i];
  api.UnlockTensorBuffer(outputs[0]);
  api.UnlockTensorBuffer(inputs[0]);
  ++*static_cast<int*>(user_data);
  return kLiteRtStatusOk;
}

Settings With(decltype(LiteRtCustomOpKernel::Run) run, const std::shared_ptr<int>& calls) {
  litert::CustomOp op{kName, 1, {}, calls};
  op.kernel.Init = [](void*, const void*, size_t) { return kLiteRtStatusOk; };
  op.kernel.GetOutputLayouts = SameLayout;
  op.kernel.Run = run;
  op.kernel.Destroy = [](void*) { return kLiteRtStatusOk; };
  return {1, {op}};
}

// A softmax leaves the order of its inputs: the class that it sees most in is the one that the negation sees least in.
TEST(CustomOp, RunsWithItsState) {
  const auto calls = std::make_shared<int>(0);
  Runtime runtime(WithCustomOp(), With(Negate, calls));
  const tests::Run run = tests::Runs("float")[0];
  std::memcpy(runtime.input(0), run.inputs[0].data(), runtime.inputs()[0].SampleBytes());
  runtime.Run();
  EXPECT_EQ(*calls, 1);
  const std::vector<float> negated = runtime.outputs()[0].Decode(runtime.output(0), 10);
  const std::vector<float> scores = runtime.outputs()[0].Decode(run.outputs[0].data(), 10);
  EXPECT_EQ(std::min_element(negated.begin(), negated.end()) - negated.begin(),
            std::max_element(scores.begin(), scores.end()) - scores.begin());
}

TEST(CustomOp, WithoutAKernelIsAnError) {
  EXPECT_NE(ErrorOf([] { Runtime(WithCustomOp(), {}); }).find("LiteRT cannot"), std::string::npos);
}

// Kernels that crash or never end stand for files that make LiteRT do so.
TEST(Rehearsal, SurvivesACrash) {
  const auto crash = [](void*, size_t, const LiteRtTensorBuffer*, size_t, LiteRtTensorBuffer*) -> LiteRtStatus {
    std::abort();
  };
  const Settings settings = With(crash, std::make_shared<int>(0));
  EXPECT_NE(ErrorOf([&] { Rehearse(WithCustomOp(), settings); }).find("does not survive"), std::string::npos);
}

TEST(Rehearsal, EndsWhatDoesNotEnd) {
  const auto wait = [](void*, size_t, const LiteRtTensorBuffer*, size_t, LiteRtTensorBuffer*) -> LiteRtStatus {
    for (;;) pause();
  };
  const Settings settings = With(wait, std::make_shared<int>(0));
  EXPECT_NE(ErrorOf([&] { Rehearse(WithCustomOp(), settings, 1); }).find("does not end"), std::string::npos);
}

}  // namespace
}  // namespace kqat::runtime
