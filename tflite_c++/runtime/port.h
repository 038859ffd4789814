// An input or output of a file: its shape, its type, and real values to stored ones and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flatbuffer/model.h"

namespace kqat::runtime {

struct Port {
  std::string name;            // in the signature, or that of the tensor where there is none
  std::vector<int32_t> shape;  // of one batch
  int type = 0;                // schema::TensorType
  float scale = 0;             // step in real units of a quantized tensor, else 0
  int32_t zero_point = 0;      // code of real 0
  bool resizable = false;      // whether the first dimension may change
  int32_t first = 0;           // the first dimension as in the file; 0 where there is none

  // Returns how many values one sample has, and how many bytes it takes as stored.
  size_t SampleValues() const;
  size_t SampleBytes() const;

  // Returns how many bytes the whole shape takes.
  size_t Bytes() const;

  // Writes real values in the stored type, as the runtime's own QUANTIZE does: times the reciprocal of the scale in
  // float32, half to even, clipped.
  //
  // Throws Error: the port holds something else than float32, int8, uint8 or int16 with a scale.
  void Encode(const float* values, size_t count, void* stored) const;

  // Returns stored values as real ones; whole numbers without a scale become floats.
  std::vector<float> Decode(const void* stored, size_t count) const;
};

// Returns the port of a tensor.
//
// Throws Error: its type has no fixed size, or its rank is more than LiteRT's 8.
Port MakePort(const flatbuffer::Tensor& tensor, std::string name);

}  // namespace kqat::runtime
