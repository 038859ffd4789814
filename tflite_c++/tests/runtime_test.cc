#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "flatbuffer/schema.h"
#include "litert/library.h"
#include "measure/statistics.h"
#include "runtime/open.h"
#include "tests/support.h"

namespace kqat::runtime {
namespace {

using tests::Bytes;
using tests::ErrorOf;

TEST(Library, OtherLibrariesAreRefused) {
  EXPECT_NE(ErrorOf([] { litert::LoadLibrary("libz.so.1"); }).find("another C API"), std::string::npos);
  EXPECT_NE(ErrorOf([] { litert::LoadLibrary("/nowhere/libLiteRt.so"); }).find("cannot be loaded"), std::string::npos);
}

Port Quantized(int type, float scale, int32_t zero_point) {
  Port port;
  port.type = type;
  port.scale = scale;
  port.zero_point = zero_point;
  port.shape = {1, 4};
  return port;
}

TEST(Port, EncodesHalfToEvenAndClips) {
  const Port port = Quantized(schema::kInt8, 2.0f, 1);
  const float values[] = {1.0f, 3.0f, 1e9f, -1e9f};
  int8_t codes[4];
  port.Encode(values, 4, codes);
  EXPECT_EQ(std::vector<int>(codes, codes + 4), (std::vector<int>{1, 3, 127, -128}));
  EXPECT_EQ(port.Decode(codes, 2), (std::vector<float>{0.0f, 4.0f}));
}

TEST(Port, WhatIsNoNumberHasACode) {
  const float values[] = {std::nanf(""), INFINITY, -INFINITY, 0};
  int16_t codes[4];
  Quantized(schema::kInt16, 1.0f, 0).Encode(values, 4, codes);
  EXPECT_EQ(std::vector<int>(codes, codes + 4), (std::vector<int>{-32768, 32767, -32768, 0}));
}

TEST(Port, IndicesAreNotReal) {
  float value = 0;
  EXPECT_NE(ErrorOf([&] { Quantized(schema::kInt32, 0, 0).Encode(&value, 1, &value); }).find("int32"),
            std::string::npos);
}

TEST(Runtime, RefusesWrongSettings) {
  OpenOptions options;
  for (int threads : {0, -1, 100000}) {
    options.threads = threads;
    EXPECT_NE(ErrorOf([&] { OpenBytes(tests::RecordedFile("w8a8.tflite"), options); }).find("threads"),
              std::string::npos);
  }
  const auto runtime = OpenBytes(tests::RecordedFile("w8a8.tflite"), {});
  EXPECT_NE(ErrorOf([&] { runtime->Resize(0); }).find("batch"), std::string::npos);
}

TEST(Runtime, NamesAndShapesAreThoseOfTheFile) {
  const auto runtime = OpenBytes(tests::RecordedFile("two_inputs.tflite"), {});
  ASSERT_EQ(runtime->inputs().size(), 2u);
  EXPECT_EQ(runtime->inputs()[1].name, "extra");
  EXPECT_EQ(runtime->inputs()[0].SampleValues(), 144u);
  runtime->Resize(3);
  EXPECT_EQ(runtime->outputs()[0].shape, (std::vector<int32_t>{3, 7}));
  EXPECT_EQ(runtime->outputs()[1].shape, (std::vector<int32_t>{3, 3}));
}

// Asks for a version of an operator that LiteRT does not have.
TEST(Rehearsal, TellsWhyAFileIsRefused) {
  Bytes bytes = tests::RecordedFile("w8a8.tflite");
  const flatbuffer::View view(bytes.data(), bytes.size());
  const int32_t version = 30000;
  for (const flatbuffer::OperatorCode& code : flatbuffer::ReadModel(view).codes) {
    const size_t at = code.table.Find(schema::operator_code::kVersion);
    if (at) std::memcpy(&bytes[at], &version, sizeof version);
  }
  EXPECT_NE(ErrorOf([&] { OpenBytes(bytes, {}); }).find("LiteRT cannot"), std::string::npos);
}

TEST(Statistics, AreThoseOfNumPy) {
  const measure::Summary found = measure::Summarize({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(found.mean, 2.5);
  EXPECT_DOUBLE_EQ(found.median, 2.5);
  EXPECT_DOUBLE_EQ(found.p95, 3.85);
  EXPECT_DOUBLE_EQ(found.least, 1);
}

}  // namespace
}  // namespace kqat::runtime
