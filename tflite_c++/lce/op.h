// An operator of Larq Compute Engine as it stands in a file: its options and constants, but no tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lce/conv_spec.h"
#include "lce/isa.h"
#include "lce/thread_pool.h"

namespace kqat::lce {

using Shape = std::vector<int64_t>;

class Op {
 public:
  virtual ~Op() = default;

  // Prepares for an input of a shape, and returns the shape of the output.
  //
  // Throws Error: the operator cannot take it.
  virtual Shape Resize(const Shape& input) = 0;

  // Computes the output. The memory has the sizes of the last Resize.
  virtual void Run(const void* input, void* output, ThreadPool& pool) = 0;

  // Bytes of the input and the output that Run will touch.
  int64_t input_bytes() const { return input_bytes_; }
  int64_t output_bytes() const { return output_bytes_; }

 protected:
  int64_t input_bytes_ = 0;
  int64_t output_bytes_ = 0;
};

enum class Value { kFloat, kInt8, kBool };

// Words of signs from values: bit = x < 0, x < zero_point, or not x.
struct QuantizeSpec {
  Value input = Value::kFloat;
  int zero_point = 0;
};

// Values from words of signs: +1 and -1, zero_point +- round(1 / scale), or true and false.
struct DequantizeSpec {
  Value output = Value::kFloat;
  float scale = 1.0f;
  int zero_point = 0;
  int64_t channels = 0;  // which words do not tell
};

struct MaxPoolSpec {
  int filter_height = 1;
  int filter_width = 1;
  int stride_height = 1;
  int stride_width = 1;
  Padding padding = Padding::kValid;
};

// Each throws Error if the specification cannot be computed.
std::unique_ptr<Op> MakeConv(ConvSpec spec, Isa isa);
std::unique_ptr<Op> MakeQuantize(const QuantizeSpec& spec, Isa isa);
std::unique_ptr<Op> MakeDequantize(const DequantizeSpec& spec);
std::unique_ptr<Op> MakeMaxPool(const MaxPoolSpec& spec);

// Returns the number of elements of a shape. Throws Error: more than 2 GiB of 32-bit words, or a negative size.
int64_t CountOf(const Shape& shape);

}  // namespace kqat::lce
