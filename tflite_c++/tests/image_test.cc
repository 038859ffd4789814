#include <gtest/gtest.h>

#include "image/image.h"
#include "tests/support.h"

namespace kqat::image {
namespace {

using tests::Bytes;
using tests::ErrorOf;

Bytes Netpbm(const std::string& head, const Bytes& values) {
  Bytes bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

// A gray PNG of 2 by 1 pixels, 0 and 255.
const Bytes kPng = {0x89, 'P',  'N',  'G',  '\r', '\n', 0x1a, '\n', 0,    0,    0,    13,   'I',  'H',  'D',  'R',  0,
                    0,    0,    2,    0,    0,    0,    1,    8,    0,    0,    0,    0,    0xD1, 0xD3, 0x58, 0x38, 0,
                    0,    0,    11,   'I',  'D',  'A',  'T',  0x78, 0x9C, 0x63, 0x60, 0xF8, 0x0F, 0x00, 0x01, 0x02,
                    0x01, 0x00, 0,    0,    0,    0,    0,    0,    0,    0,    'I',  'E',  'N',  'D',  0xAE, 0x42,
                    0x60, 0x82};

TEST(Decode, ReadsNetpbm) {
  const Image gray = Decode(Netpbm("P5\n3 1\n255\n", {1, 2, 3}));
  EXPECT_EQ(gray.channels, 1);
  EXPECT_EQ(gray.values, (Bytes{1, 2, 3}));
  const Image color = Decode(Netpbm("P6\n1 2\n255\n", {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(color.channels, 3);
  EXPECT_EQ(color.height, 2);
  EXPECT_EQ(color.values, (Bytes{1, 2, 3, 4, 5, 6}));
}

TEST(Decode, ReadsPng) {
  const Image image = Decode(kPng);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.values, (Bytes{0, 255}));
}

TEST(Decode, DamageIsAnError) {
  EXPECT_NE(ErrorOf([] { Decode({}); }), "");
  EXPECT_NE(ErrorOf([] { Decode(Bytes(100)); }), "");
  EXPECT_NE(ErrorOf([] { Decode(Netpbm("P6\n0 0\n255\n", {})); }).find("empty"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Decode(Netpbm("P6\n9999999 9999999\n255\n", {})); }), "");
  EXPECT_NE(ErrorOf([] { Decode(Bytes(kPng.begin(), kPng.begin() + 45)); }), "");
}

// A BMP of 2 by 2 pixels of 24 bits, and the least that is a JPEG with pixels.
Bytes Bitmap() {
  Bytes bytes = {'B', 'M', 70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 24, 0};
  bytes.resize(54, 0);
  bytes.resize(70, 9);
  return bytes;
}

TEST(Decode, EveryTruncationIsAnError) {
  const Bytes two_bytes = Netpbm("P5\n2 1\n65535\n", {1, 2, 3, 4});
  const Bytes comment = Netpbm("P6 # a comment\n 2 1 255\n", Bytes(6, 5));
  for (const Bytes& whole : {Netpbm("P5\n3 1\n255\n", {1, 2, 3}), comment, two_bytes, Bitmap(), kPng}) {
    EXPECT_EQ(ErrorOf([&] { Decode(whole); }), "");
    // Of a PNG the decoder reads no more than the pixels need.
    const size_t end = whole == kPng ? 40 : whole.size();
    for (size_t size = 0; size < end; ++size) {
      EXPECT_NE(ErrorOf([&] { Decode(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))); }), "")
          << size;
    }
  }
}

TEST(Decode, JpegWithoutItsEndIsCutOff) {
  const Bytes cut = {0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0xFF, 0xD9, 0xFF, 0xDA, 0, 2, 1, 2, 3};  // an end before the pixels
  EXPECT_NE(ErrorOf([&] { Decode(cut); }).find("cut off"), std::string::npos);
}

TEST(WithChannels, GrayAndColor) {
  EXPECT_EQ(WithChannels({1, 1, 1, {7}}, 3).values, (Bytes{7, 7, 7}));
  EXPECT_EQ(WithChannels({1, 1, 2, {7, 200}}, 1).values, (Bytes{7}));
  EXPECT_EQ(WithChannels({1, 1, 4, {1, 2, 3, 200}}, 3).values, (Bytes{1, 2, 3}));
  // Pillow's convert("L") of these three pixels.
  EXPECT_EQ(WithChannels({1, 3, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}}, 1).values, (Bytes{76, 150, 29}));
  EXPECT_NE(ErrorOf([] { WithChannels({1, 1, 1, {7}}, 2); }), "");
}

TEST(Resize, SameSizeChangesNothing) {
  EXPECT_EQ(Resize({1, 2, 1, {3, 9}}, 1, 2), (std::vector<float>{3, 9}));
}

// What tf.image.resize(method="bilinear") returns; every number here is exact in float32.
TEST(Resize, IsBilinearBetweenCenters) {
  EXPECT_EQ(Resize({1, 2, 1, {0, 8}}, 1, 4), (std::vector<float>{0, 2, 6, 8}));
  EXPECT_EQ(Resize({1, 4, 1, {0, 8, 16, 24}}, 1, 2), (std::vector<float>{4, 20}));
  EXPECT_EQ(Resize({2, 2, 1, {0, 4, 8, 12}}, 1, 1), (std::vector<float>{6}));
  EXPECT_EQ(Resize({1, 1, 3, {1, 2, 3}}, 2, 1), (std::vector<float>{1, 2, 3, 1, 2, 3}));
}

TEST(Decode, MutationsAreErrorsOrPictures) {
  tests::Random random(1);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    const Bytes seed = i % 2 ? kPng : Netpbm("P6\n2 2\n255\n", Bytes(12, 7));
    refused += !ErrorOf([&] { Decode(tests::Mutated(seed, random)); }).empty();
  }
  EXPECT_GT(refused, 200);
  EXPECT_LT(refused, 2000);
}

}  // namespace
}  // namespace kqat::image
