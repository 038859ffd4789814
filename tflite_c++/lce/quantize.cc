// LceQuantize and LceDequantize: between values and words of their signs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "errors/error.h"
#include "lce/kernels.h"
#include "lce/op.h"

namespace kqat::lce {
namespace {

constexpr int64_t kChunkValues = 1 << 14;

void CheckZeroPoint(int zero_point) {
  if (zero_point >= -128 && zero_point <= 127) return;
  throw Error("An int8 tensor has no such zero point. Received: " + std::to_string(zero_point) + ". Use -128 to 127.");
}

// Calls body(first, last) for ranges of rows, each of a size worth a thread's while.
template <typename Body>
void ForRows(ThreadPool& pool, int64_t rows, int64_t row_values, const Body& body) {
  const int64_t step = std::max<int64_t>(1, kChunkValues / std::max<int64_t>(1, row_values));
  pool.For((rows + step - 1) / step,
           [&](int64_t chunk) { body(chunk * step, std::min(rows, (chunk + 1) * step)); });
}

// The last axis of a tensor, and how often it is there.
struct Rows {
  int64_t rows = 0;
  int64_t values = 0;
  int64_t words = 0;

  static Rows Of(const Shape& shape, int64_t values) {
    Require(!shape.empty() && values >= 0, "Signs are packed along the last axis. Received: a scalar. Use a tensor.");
    const int64_t rows = CountOf(Shape(shape.begin(), shape.end() - 1));
    CountOf({rows, values});
    return {rows, values, (values + kWordBits - 1) / kWordBits};
  }
};

class Quantize : public Op {
 public:
  Quantize(const QuantizeSpec& spec, Isa isa) : spec_(spec), kernels_(KernelsFor(isa, 1)) {
    CheckZeroPoint(spec.zero_point);
  }

  Shape Resize(const Shape& input) override {
    rows_ = Rows::Of(input, input.empty() ? 0 : input.back());
    input_bytes_ = rows_.rows * rows_.values * (spec_.input == Value::kFloat ? 4 : 1);
    output_bytes_ = rows_.rows * rows_.words * 4;
    Shape output = input;
    output.back() = rows_.words;
    return output;
  }

  void Run(const void* input, void* output, ThreadPool& pool) override {
    auto* words = static_cast<uint32_t*>(output);
    const bool joined = rows_.values % kWordBits == 0;  // no word ends with a row: rows are one long one
    ForRows(pool, rows_.rows, rows_.values, [&](int64_t first, int64_t last) {
      const int64_t step = joined ? last - first : 1;
      for (int64_t row = first; row < last; row += step) {
        RunRow(input, row * rows_.values, step * rows_.values, words + row * rows_.words);
      }
    });
  }

 private:
  void RunRow(const void* input, int64_t at, int64_t n, uint32_t* words) const {
    switch (spec_.input) {
      case Value::kFloat: return kernels_.sign_float(static_cast<const float*>(input) + at, n, words);
      case Value::kInt8:
        return kernels_.sign_int8(static_cast<const int8_t*>(input) + at, n, static_cast<int8_t>(spec_.zero_point),
                                  words);
      case Value::kBool: break;
    }
    const auto* x = static_cast<const uint8_t*>(input) + at;
    std::fill_n(words, (n + kWordBits - 1) / kWordBits, 0u);
    for (int64_t c = 0; c < n; ++c) words[c / kWordBits] |= static_cast<uint32_t>(x[c] == 0) << (c % kWordBits);
  }

  QuantizeSpec spec_;
  const Kernels& kernels_;
  Rows rows_;
};

template <typename T>
void Unpack(const uint32_t* words, int64_t n, T plus, T minus, T* out) {
  for (int64_t c = 0; c < n; ++c) out[c] = words[c / kWordBits] >> (c % kWordBits) & 1u ? minus : plus;
}

class Dequantize : public Op {
 public:
  explicit Dequantize(const DequantizeSpec& spec) : spec_(spec) {
    CheckZeroPoint(spec.zero_point);
    Require(std::isfinite(spec.scale) && spec.scale > 0.0f,
            "An int8 tensor needs a positive scale. Use a file that LCE wrote.");
    Require(spec.channels >= 1 && spec.channels <= std::numeric_limits<int32_t>::max(),
            "The number of channels of unpacked signs is not known. Use a file that LCE wrote.");
    // From 255 on every zero point is left behind.
    const int step = static_cast<int>(std::round(std::min(1.0f / spec.scale, 255.0f)));
    plus_ = static_cast<int8_t>(std::min(127, spec.zero_point + step));
    minus_ = static_cast<int8_t>(std::max(-128, spec.zero_point - step));
  }

  Shape Resize(const Shape& input) override {
    rows_ = Rows::Of(input, spec_.channels);
    if (input.back() != rows_.words) {
      throw Error("Signs are unpacked to a number of channels that they do not have. Received: " +
                  std::to_string(input.back()) + " words for " + std::to_string(spec_.channels) +
                  " channels. Use a file that LCE wrote.");
    }
    input_bytes_ = rows_.rows * rows_.words * 4;
    output_bytes_ = rows_.rows * rows_.values * (spec_.output == Value::kFloat ? 4 : 1);
    Shape output = input;
    output.back() = spec_.channels;
    return output;
  }

  void Run(const void* input, void* output, ThreadPool& pool) override {
    const auto* words = static_cast<const uint32_t*>(input);
    ForRows(pool, rows_.rows, rows_.values, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) RunRow(words + row * rows_.words, row * rows_.values, output);
    });
  }

 private:
  void RunRow(const uint32_t* words, int64_t at, void* output) const {
    const int64_t n = rows_.values;
    switch (spec_.output) {
      case Value::kFloat: return Unpack(words, n, 1.0f, -1.0f, static_cast<float*>(output) + at);
      case Value::kInt8: return Unpack(words, n, plus_, minus_, static_cast<int8_t*>(output) + at);
      case Value::kBool: return Unpack<uint8_t>(words, n, 1, 0, static_cast<uint8_t*>(output) + at);
    }
  }

  DequantizeSpec spec_;
  int8_t plus_ = 0, minus_ = 0;
  Rows rows_;
};

}  // namespace

std::unique_ptr<Op> MakeQuantize(const QuantizeSpec& spec, Isa isa) { return std::make_unique<Quantize>(spec, isa); }

std::unique_ptr<Op> MakeDequantize(const DequantizeSpec& spec) { return std::make_unique<Dequantize>(spec); }

}  // namespace kqat::lce
