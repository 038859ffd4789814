#include "lce/zero_padding.h"

#include <bitset>
#include <map>

namespace kqat::lce {
namespace {

std::vector<int32_t> OnesOfTaps(const ConvSpec& spec) {
  const int words = spec.words_per_group();
  std::vector<int32_t> ones(spec.filter.size() / words);
  for (size_t tap = 0; tap < ones.size(); ++tap) {
    for (int w = 0; w < words; ++w) {
      ones[tap] += static_cast<int32_t>(std::bitset<32>(spec.filter[tap * words + w]).count());
    }
  }
  return ones;
}

}  // namespace

ZeroPadding::ZeroPadding(const ConvSpec& spec, const Axis& rows, const Axis& columns)
    : rows_(Classify(rows)), columns_(Classify(columns)) {
  width_ = static_cast<int64_t>(columns_.examples.size());
  channels_ = spec.channels_out;
  ones_ = OnesOfTaps(spec);
  const bool floats = spec.output == Output::kFloat && spec.activation == Activation::kNone;
  const size_t size = rows_.examples.size() * columns_.examples.size() * channels_;
  floats ? floats_.resize(size) : counts_.resize(size);
  for (size_t r = 0; r < rows_.examples.size(); ++r) {
    for (size_t c = 0; c < columns_.examples.size(); ++c) {
      const int64_t row = rows_.examples[r], column = columns_.examples[c];
      if (row >= 0 && column >= 0) Fill(spec, rows, columns, row, column, (r * width_ + c) * channels_);
    }
  }
  ones_.clear();
}

ZeroPadding::Classes ZeroPadding::Classify(const Axis& axis) {
  Classes classes;
  classes.examples.push_back(-1);
  std::map<std::vector<bool>, int32_t> known;
  for (int64_t i = 0; i < axis.out; ++i) {
    if (axis.Inside(i, 0) && axis.Inside(i, axis.taps - 1)) {
      classes.of.push_back(0);
      classes.examples[0] = i;
      continue;
    }
    std::vector<bool> inside(axis.taps);
    for (int64_t tap = 0; tap < axis.taps; ++tap) inside[tap] = axis.Inside(i, tap);
    const auto [found, fresh] = known.emplace(inside, static_cast<int32_t>(classes.examples.size()));
    classes.of.push_back(found->second);
    if (fresh) classes.examples.push_back(i);
  }
  return classes;
}

void ZeroPadding::Fill(const ConvSpec& spec, const Axis& rows, const Axis& columns, int64_t row, int64_t column,
                       size_t at) {
  const int32_t channels = spec.channels_in / spec.groups;
  for (int c = 0; c < spec.channels_out; ++c) {
    const int32_t* ones = ones_.data() + static_cast<size_t>(c) * spec.taps();
    int64_t sum = 0, count = 0;
    for (int y = 0; y < spec.kernel_height; ++y) {
      for (int x = 0; x < spec.kernel_width; ++x, ++ones) {
        if (rows.Inside(row, y) && columns.Inside(column, x)) continue;
        sum += channels - 2 * *ones;
        count += channels / 2 - *ones;
      }
    }
    if (corrects_counts()) counts_[at + c] = static_cast<int32_t>(count);
    if (corrects_floats()) floats_[at + c] = -spec.multiplier[c] * static_cast<float>(sum);
  }
}

}  // namespace kqat::lce
