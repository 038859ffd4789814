// What happens around binary operators: which files are refused and why, and what LiteRT would keep silent about.
#include "lce/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "errors/error.h"
#include "files/file.h"
#include "lce/isa.h"
#include "runtime/open.h"

namespace kqat::lce {
namespace {

using Bytes = std::vector<uint8_t>;

// The file of a convolution with float outputs.
Bytes ConvFile() { return files::ReadFile(std::string(std::getenv("KQAT_LCE_CASES")) + "/case0.tflite"); }

Bytes Replaced(Bytes bytes, const std::string& old, const std::string& with) {
  const auto at = std::search(bytes.begin(), bytes.end(), old.begin(), old.end());
  EXPECT_NE(at, bytes.end());
  std::copy(with.begin(), with.end(), at);
  return bytes;
}

template <typename Body>
std::string ErrorOf(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Rewrite, GivesEveryNodeAKernelOfItsOwn) {
  const Rewritten rewritten = Rewrite(ConvFile(), 1);
  std::set<std::string> names;
  for (const litert::CustomOp& op : rewritten.custom_ops) names.insert(op.name);
  EXPECT_EQ(names, (std::set<std::string>{"LceQuantize#0", "LceBconv2d#1"}));
}

TEST(Rewrite, LeavesOneInputAndPlainStructure) {
  const Rewritten rewritten = Rewrite(ConvFile(), 1);
  const flatbuffer::View view(rewritten.bytes.data(), rewritten.bytes.size());
  const flatbuffer::Model model = flatbuffer::ReadModel(view);
  for (const flatbuffer::Operator& node : model.subgraphs[0].operators) {
    EXPECT_EQ(node.inputs.size(), 1u);
    EXPECT_EQ(node.custom_options.size, 0u);
  }
}

TEST(Rewrite, LeavesOtherFilesAlone) {
  // Only the names tell binary operators from others.
  const Bytes other = Replaced(Replaced(ConvFile(), "LceQuantize", "MyQuantize!"), "LceBconv2d", "MyBconv2d!");
  const Rewritten rewritten = Rewrite(other, 1);
  EXPECT_EQ(rewritten.bytes, other);
  EXPECT_TRUE(rewritten.custom_ops.empty());
}

TEST(Rewrite, RefusesOperatorsItDoesNotKnow) {
  const Bytes file = Replaced(ConvFile(), "LceBconv2d", "LceBconv3d");
  EXPECT_NE(ErrorOf([&] { Rewrite(file, 1); }).find("Received: LceBconv3d"), std::string::npos);
}

TEST(Rewrite, RefusesOptionsThatLceDoesNotHave) {
  const Bytes file = Replaced(ConvFile(), "stride_width", "stride_wider");
  EXPECT_NE(ErrorOf([&] { Rewrite(file, 1); }).find("no stride_width"), std::string::npos);
}

TEST(Open, AsksForLcompute) {
  EXPECT_NE(ErrorOf([] { runtime::OpenBytes(ConvFile(), {}); }).find("--lcompute 1"), std::string::npos);
}

TEST(Open, RehearsesWithSeveralThreads) {
  const auto runtime = runtime::OpenBytes(ConvFile(), {3, /*lcompute=*/true, /*trust=*/false});
  runtime->Run();
  EXPECT_EQ(runtime->batch(), 1u);
}

TEST(Open, TellsWhatLiteRtKeepsSilentAbout) {
  const auto runtime = runtime::OpenBytes(ConvFile(), {1, /*lcompute=*/true, /*trust=*/true});
  EXPECT_NE(ErrorOf([&] { runtime->Resize(1 << 20); }).find("more than 2 GiB"), std::string::npos);
}

TEST(Isa, RefusesNamesThatThisMachineLacks) {
  const std::string message = ErrorOf([] { FromName("sse9"); });
  EXPECT_NE(message.find("KQAT_LCE_ISA=sse9"), std::string::npos);
  EXPECT_NE(message.find("portable"), std::string::npos);
}

}  // namespace
}  // namespace kqat::lce
