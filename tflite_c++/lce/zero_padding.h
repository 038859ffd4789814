// SAME padding with zeros. No bit stands for zero, so the kernels compute as if +1 had been there, and what that added
// is taken away again at the pixels whose window sticks out of the image.
#pragma once

#include <cstdint>
#include <vector>

#include "lce/conv_spec.h"

namespace kqat::lce {

// The corrections of one convolution, for one size of image. Pixels whose windows stick out alike share theirs.
class ZeroPadding {
 public:
  ZeroPadding() = default;
  ZeroPadding(const ConvSpec& spec, const Axis& rows, const Axis& columns);

  // Where it is done. LCE's default kernel corrects floats without activation at the end, in float; its reference
  // kernel, which has to do the rest, corrects counts.
  bool corrects_floats() const { return !floats_.empty(); }
  bool corrects_counts() const { return !counts_.empty(); }

  // Returns what to add to every channel of a pixel; null where its window lies inside.
  const float* Floats(int64_t row, int64_t column) const { return At(floats_, row, column); }
  const int32_t* Counts(int64_t row, int64_t column) const { return At(counts_, row, column); }

 private:
  // Which taps lie outside for each output index: indices of one class have the same.
  struct Classes {
    std::vector<int32_t> of;         // by output index; 0 means inside
    std::vector<int64_t> examples;   // an output index of each class, -1 for a class that no index has
  };
  static Classes Classify(const Axis& axis);
  void Fill(const ConvSpec& spec, const Axis& rows, const Axis& columns, int64_t row, int64_t column, size_t at);

  template <typename T>
  const T* At(const std::vector<T>& table, int64_t row, int64_t column) const {
    const int64_t index = static_cast<int64_t>(rows_.of[row]) * width_ + columns_.of[column];
    return index == 0 ? nullptr : table.data() + index * channels_;
  }

  Classes rows_, columns_;
  int64_t width_ = 0;
  int64_t channels_ = 0;
  std::vector<int32_t> ones_;  // bits set in each tap of each channel's filter
  std::vector<float> floats_;
  std::vector<int32_t> counts_;
};

}  // namespace kqat::lce
