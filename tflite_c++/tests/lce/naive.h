// Binary convolution, pooling and packing written down from their definitions, value by value.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "lce/conv_spec.h"

namespace kqat::lce::naive {

inline bool Bit(const uint32_t* words, int64_t channel) { return words[channel / 32] >> (channel % 32) & 1u; }

// Number of products of -1, within one window; pixels outside of the image count as +1, or half if they are zero.
inline int32_t Count(const ConvSpec& s, const Axis& rows, const Axis& columns, const uint32_t* image, int64_t row,
                     int64_t column, int channel, bool half) {
  const int per_group = s.channels_in / s.groups, group = channel / s.channels_per_group();
  int32_t count = 0;
  for (int y = 0; y < s.kernel_height; ++y) {
    for (int x = 0; x < s.kernel_width; ++x) {
      const bool inside = rows.Inside(row, y) && columns.Inside(column, x);
      if (!inside && half) {
        count += per_group / 2;
        continue;
      }
      const int64_t from_y = rows.First(row) + y * rows.dilation, from_x = columns.First(column) + x * columns.dilation;
      const int64_t at = from_y * columns.in + from_x;
      const int64_t tap = (static_cast<int64_t>(channel) * s.kernel_height + y) * s.kernel_width + x;
      const uint32_t* weights = s.filter.data() + tap * s.words_per_group();
      for (int c = 0; c < per_group; ++c) {
        const bool activation = inside && Bit(image + at * s.words_in(), static_cast<int64_t>(group) * per_group + c);
        count += activation != Bit(weights, c);
      }
    }
  }
  return count;
}

// What padding with +1 adds to a sum that zeros would not: the weights outside of the image.
inline int32_t OutsideSum(const ConvSpec& s, const Axis& rows, const Axis& columns, int64_t row, int64_t column,
                          int channel) {
  int32_t sum = 0;
  for (int tap = 0; tap < s.taps(); ++tap) {
    if (rows.Inside(row, tap / s.kernel_width) && columns.Inside(column, tap % s.kernel_width)) continue;
    const uint32_t* weights = s.filter.data() + (static_cast<int64_t>(channel) * s.taps() + tap) * s.words_per_group();
    for (int c = 0; c < s.channels_in / s.groups; ++c) sum += Bit(weights, c) ? -1 : 1;
  }
  return sum;
}

inline float Affine(const Folded& folded, int32_t count, int c) {
  int32_t x = count * 2;
  x = x > folded.high ? folded.high : x;
  x = x < folded.low ? folded.low : x;
  const volatile float product = static_cast<float>(x) * folded.multiplier[c];
  return product + folded.bias[c];
}

// Outputs of all pixels as the values that the kernels write: float, int8 or bit.
inline std::vector<float> Conv(const ConvSpec& s, int64_t batch, int64_t height, int64_t width,
                               const std::vector<uint32_t>& input) {
  const Axis rows = Axis::Of(height, s.kernel_height, s.stride_height, s.dilation_height, s.padding);
  const Axis columns = Axis::Of(width, s.kernel_width, s.stride_width, s.dilation_width, s.padding);
  const bool late = s.zero_padded() && s.output == Output::kFloat && s.activation == Activation::kNone;
  const Folded folded = Fold(s);
  std::vector<float> out;
  for (int64_t n = 0; n < batch; ++n) {
    const uint32_t* image = input.data() + n * height * width * s.words_in();
    for (int64_t pixel = 0; pixel < rows.out * columns.out; ++pixel) {
      const int64_t row = pixel / columns.out, column = pixel % columns.out;
      for (int c = 0; c < s.channels_out; ++c) {
        const int32_t count = Count(s, rows, columns, image, row, column, c, s.zero_padded() && !late);
        if (s.output == Output::kBits) {
          out.push_back(count > s.threshold[c]);
          continue;
        }
        float y = Affine(folded, count, c);
        if (late) y += -s.multiplier[c] * static_cast<float>(OutsideSum(s, rows, columns, row, column, c));
        out.push_back(s.output == Output::kFloat ? y : std::fmin(std::fmax(std::round(y), -128.0f), 127.0f) + 0.0f);
      }
    }
  }
  return out;
}

}  // namespace kqat::lce::naive
