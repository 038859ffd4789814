#include <gtest/gtest.h>

#include "flatbuffer/structure.h"
#include "packing/bits.h"
#include "packing/expand.h"
#include "packing/form.h"
#include "tests/support.h"

namespace kqat::packing {
namespace {

using tests::Bytes;
using tests::ErrorOf;

std::vector<int> Unpacked(const Bytes& packed, int bits, size_t count) {
  std::vector<int8_t> values(count);
  EXPECT_TRUE(Unpack(packed.data(), bits, count, values.data()));
  return {values.begin(), values.end()};
}

TEST(Unpack, ReadsFromTheLowestBits) {
  EXPECT_EQ(Unpacked({0b00000101}, 1, 4), (std::vector<int>{-1, 1, -1, 1}));
  EXPECT_EQ(Unpacked({0b11100100}, 2, 4), (std::vector<int>{0, 1, -2, -1}));
  EXPECT_EQ(Unpacked({0x8F, 0x07}, 4, 3), (std::vector<int>{-1, -8, 7}));
}

TEST(Unpack, KnowsBitsBehindTheLastValue) {
  int8_t values[3];
  const Bytes clean = {0x12, 0x03}, dirty = {0x12, 0x13};
  EXPECT_TRUE(Unpack(clean.data(), 4, 3, values));
  EXPECT_FALSE(Unpack(dirty.data(), 4, 3, values));
}

TEST(Expand, LeavesPlainFilesAlone) {
  const Bytes plain = tests::RecordedFile("w8a8.tflite");
  EXPECT_EQ(Expand(plain), plain);
}

TEST(Expand, GivesASoundPlainFile) {
  for (const char* name : {"w4a4_packed", "w4a4_packed_int8", "w2a2_packed", "w1a8_packed", "signs_packed"}) {
    const Bytes packed = tests::RecordedFile(std::string(name) + ".tflite");
    ASSERT_TRUE(IsPacked(packed));
    const Bytes expanded = Expand(packed);
    const flatbuffer::View view(expanded.data(), expanded.size());
    EXPECT_NO_THROW(CheckStructure(flatbuffer::ReadModel(view))) << name;
  }
}

TEST(Expand, EveryChangedByteIsAnError) {
  const Bytes packed = tests::RecordedFile("w2a2_packed.tflite");
  for (size_t i = 0; i < packed.size(); i += 3) {
    Bytes damaged = packed;
    damaged[i] ^= 0x10;
    EXPECT_NE(ErrorOf([&] { Expand(damaged); }), "") << i;
  }
}

TEST(Expand, EveryTruncationIsAnError) {
  const Bytes packed = tests::RecordedFile("w4a4_packed.tflite");
  for (size_t size = packed.size() - 1; size > packed.size() - 40; --size) {
    Bytes cut = packed;
    cut.resize(size);
    EXPECT_NE(ErrorOf([&] { Expand(cut); }), "") << size;
  }
}

// With a right checksum only what is said inside can be wrong.
Bytes Replaced(const std::string& from, const std::string& to, const char* file = "w4a4_packed.tflite") {
  Bytes body = tests::RecordedFile(file);
  body.resize(Unsealed(body));
  std::string text(body.begin(), body.end());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  EXPECT_EQ(from.size(), to.size());
  text.replace(at, from.size(), to);
  return tests::Sealed({text.begin(), text.end()});
}

TEST(Expand, ChecksTheLists) {
  EXPECT_NE(ErrorOf([] { Expand(Replaced("\"tensors\"", "\"tensorz\"")); }).find("odd form"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Expand(Replaced("{\"tensors\"", "[\"tensors\"")); }).find("no JSON"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Expand(Replaced("[[5,4]", "[[9,4]")); }).find("odd form"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Expand(Replaced("[[5,4]", "[[6,4]")); }).find("go together"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Expand(Replaced("[[5,4]", "[[5,3]")); }).find("other bits"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Expand(Replaced("[[5,4]", "[[5,1]")); }), "");
  EXPECT_NE(ErrorOf([] { Expand(Replaced("kqat_packed", "kqat_pakced")); }).find("no metadata entry"),
            std::string::npos);
}

std::string FloatsError(const std::string& from, const std::string& to) {
  return ErrorOf([&] { Expand(Replaced(from, to, "signs_packed.tflite")); });
}

TEST(Expand, ChecksTheFloats) {
  EXPECT_NE(FloatsError(",-1,[1.0]]", ",-1,[0.0]]").find("odd magnitude"), std::string::npos);
  EXPECT_NE(FloatsError(",-1,[1.0]]", ", 0,[1.0]]").find("do not tell"), std::string::npos);
  EXPECT_NE(FloatsError(",-1,[1.0]]", ",17,[1.0]]").find("do not tell"), std::string::npos);
  EXPECT_NE(FloatsError(",-1,[1.0]]", ",-1,[100]]").find("odd form"), std::string::npos);
  EXPECT_NE(FloatsError(",-1,[1.0]]", ",-1,\"1.0\"]").find("odd form"), std::string::npos);
}

}  // namespace
}  // namespace kqat::packing
