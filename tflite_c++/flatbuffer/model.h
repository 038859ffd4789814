// A `.tflite` file as plain structures. Each keeps its table, so that patches find the fields again.
#pragma once

#include <string>
#include <vector>

#include "flatbuffer/table.h"

namespace kqat::flatbuffer {

struct Quantization {
  std::vector<float> scale;
  std::vector<int64_t> zero_point;
  int32_t axis = 0;
};

struct Tensor {
  Table table;
  std::string name;
  std::vector<int32_t> shape;
  std::vector<int32_t> signature;  // the shape with -1 where it can be resized; may be empty
  int type = 0;                    // schema::TensorType
  uint32_t buffer = 0;
  Quantization quantization;
  bool is_variable = false;
  bool is_sparse = false;
};

struct OperatorCode {
  Table table;
  int32_t builtin = 0;
  std::string custom;
  int32_t version = 1;
};

struct Operator {
  Table table;
  uint32_t code = 0;
  std::vector<int32_t> inputs;  // -1: left out
  std::vector<int32_t> outputs;
  std::vector<int32_t> intermediates;
  Range custom_options;
};

struct Subgraph {
  Table table;
  std::vector<Tensor> tensors;
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
  std::vector<Operator> operators;
};

// Constant data: within the file's tables, or behind them at `offset`.
struct Buffer {
  Table table;
  Range data;
  uint64_t offset = 0;
  uint64_t size = 0;

  uint64_t stored() const { return data.size ? data.size : size; }
};

struct Metadata {
  std::string name;
  uint32_t buffer = 0;
};

struct TensorMap {
  std::string name;
  uint32_t tensor = 0;
};

struct Signature {
  std::string key;
  uint32_t subgraph = 0;
  std::vector<TensorMap> inputs;
  std::vector<TensorMap> outputs;
};

struct Model {
  Table table;
  uint32_t version = 0;
  std::vector<OperatorCode> codes;
  std::vector<Subgraph> subgraphs;
  std::vector<Buffer> buffers;
  std::vector<Metadata> metadata;
  std::vector<Signature> signatures;
};

// Reads a file. Only that everything lies within it is checked; structure.h checks the rest.
//
// Throws Error: it is not a `.tflite` file, is cut off, or an offset points outside of it.
Model ReadModel(const View& file);

// Returns the product of a shape; throws Error where a size is negative or the product huge.
uint64_t CountOf(const std::vector<int32_t>& shape);

}  // namespace kqat::flatbuffer
