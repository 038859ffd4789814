#include <algorithm>
#include <cmath>

#include "errors/error.h"
#include "image/image.h"

namespace kqat::image {
namespace {

// Weights of red, green and blue in 1/65536, as ITU-R 601-2 and the "L" mode of Python's Pillow have them.
uint8_t Gray(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

// Where an output pixel lies between two of the input's.
struct Between {
  int low, high;
  float share;  // of the higher one
};

std::vector<Between> Positions(int in, int out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  std::vector<Between> positions;
  for (int i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + 0.5f) * scale - 0.5f;
    const float low = std::floor(at);
    const int first = std::max(static_cast<int>(low), 0), last = std::min(static_cast<int>(std::ceil(at)), in - 1);
    positions.push_back({std::min(first, in - 1), std::max(last, 0), at - low});
  }
  return positions;
}

}  // namespace

Image WithChannels(Image image, int channels) {
  if (channels != 1 && channels != 3) {
    throw Error("A picture has 1 or 3 channels. Received: a model that takes " + std::to_string(channels) +
                ". Use a model of gray or color pictures.");
  }
  if (image.channels == channels) return image;
  const bool color = image.channels >= 3;  // else gray, with or without alpha
  const size_t count = image.values.size() / static_cast<size_t>(image.channels);
  std::vector<uint8_t> values(count * static_cast<size_t>(channels));
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* from = &image.values[i * static_cast<size_t>(image.channels)];
    uint8_t* to = &values[i * static_cast<size_t>(channels)];
    if (channels == 1) *to = color ? Gray(from) : from[0];
    for (int c = 0; channels == 3 && c < 3; ++c) to[c] = from[color ? c : 0];
  }
  image.values = std::move(values);
  image.channels = channels;
  return image;
}

std::vector<float> Resize(const Image& image, int height, int width) {
  if (image.height == height && image.width == width) return {image.values.begin(), image.values.end()};
  const std::vector<Between> rows = Positions(image.height, height), columns = Positions(image.width, width);
  const auto channels = static_cast<size_t>(image.channels);
  const auto value = [&](int y, int x, size_t c) {
    const size_t pixel = static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x);
    return static_cast<float>(image.values[pixel * channels + c]);
  };
  std::vector<float> values;
  values.reserve(rows.size() * columns.size() * channels);
  for (const Between& y : rows) {
    for (const Between& x : columns) {
      for (size_t c = 0; c < channels; ++c) {
        const float top = value(y.low, x.low, c) + (value(y.low, x.high, c) - value(y.low, x.low, c)) * x.share;
        const float low = value(y.high, x.low, c) + (value(y.high, x.high, c) - value(y.high, x.low, c)) * x.share;
        values.push_back(top + (low - top) * y.share);
      }
    }
  }
  return values;
}

}  // namespace kqat::image
