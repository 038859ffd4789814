// One spatial axis of a window that slides over an image: TensorFlow's padding rules.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kqat::lce {

enum class Padding { kSame, kValid };

struct Axis {
  int64_t in = 0;
  int64_t out = 0;
  int64_t before = 0;  // padding
  int64_t after = 0;
  int64_t taps = 1;
  int64_t stride = 1;
  int64_t dilation = 1;

  static Axis Of(int64_t in, int64_t taps, int64_t stride, int64_t dilation, Padding padding) {
    Axis axis{in, 0, 0, 0, taps, stride, dilation};
    const int64_t extent = (taps - 1) * dilation + 1;
    const bool same = padding == Padding::kSame;
    axis.out = std::max<int64_t>(0, same ? (in + stride - 1) / stride : (in + stride - extent) / stride);
    const int64_t missing = std::max<int64_t>(0, (axis.out - 1) * stride + extent - in);
    axis.before = missing / 2;
    axis.after = missing - axis.before;
    return axis;
  }

  int64_t padded() const { return before + in + after; }
  int64_t First(int64_t out_index) const { return out_index * stride - before; }
  bool Inside(int64_t out_index, int64_t tap) const {
    const int64_t at = First(out_index) + tap * dilation;
    return at >= 0 && at < in;
  }
};

}  // namespace kqat::lce
