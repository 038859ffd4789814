#include "lce/node.h"

#include <cstring>
#include <utility>

#include "errors/error.h"
#include "flatbuffer/schema.h"
#include "lce/flexbuffer.h"

namespace kqat::lce {
namespace {

using flatbuffer::Tensor;

// A node among the tensors and buffers that it refers to.
class Reader {
 public:
  Reader(const flatbuffer::Model& model, const flatbuffer::Subgraph& graph, const flatbuffer::Operator& node)
      : model_(model), graph_(graph), node_(node), name_(model.codes.at(node.code).custom) {}

  const std::string& name() const { return name_; }

  [[noreturn]] void Fail(const std::string& received) const {
    throw Error("The file has a binary operator that cannot run. Received: " + name_ + " with " + received +
                ". Use a file that Larq Compute Engine 0.16 wrote.");
  }

  void CheckCounts(size_t inputs) const {
    if (node_.inputs.size() != inputs || node_.outputs.size() != 1) {
      Fail(std::to_string(node_.inputs.size()) + " inputs and " + std::to_string(node_.outputs.size()) + " outputs");
    }
    const flatbuffer::Buffer& buffer = model_.buffers.at(input(0).buffer);
    if (buffer.stored() != 0) Fail("a constant input");
  }

  const Tensor& input(size_t index) const { return At(node_.inputs.at(index), "an input"); }
  const Tensor& output() const { return At(node_.outputs.at(0), "an output"); }

  Options options() const {
    const flatbuffer::View& file = node_.table.file();
    return ReadOptions(file.data() + node_.custom_options.position, node_.custom_options.size);
  }

  // Returns the values of a constant input.
  template <typename T>
  std::vector<T> Constant(size_t index, int type) const {
    const Tensor& tensor = input(index);
    const flatbuffer::Range data = model_.buffers.at(tensor.buffer).data;
    const uint64_t count = flatbuffer::CountOf(tensor.shape);
    if (tensor.type != type || tensor.is_sparse || data.size == 0 || data.size / sizeof(T) != count ||
        data.size % sizeof(T) != 0) {
      Fail("input " + std::to_string(index) + ", '" + tensor.name + "', that is no constant of its shape and type");
    }
    tensor.table.file().Charge(data.size);
    std::vector<T> values(static_cast<size_t>(count));
    std::memcpy(values.data(), tensor.table.file().data() + data.position, data.size);
    return values;
  }

  Value TypeOf(const Tensor& tensor) const {
    if (tensor.type == schema::kFloat32) return Value::kFloat;
    if (tensor.type == schema::kInt8) return Value::kInt8;
    if (tensor.type == schema::kBool) return Value::kBool;
    Fail(std::string("values of type ") + schema::NameOf(tensor.type));
  }

  void CheckWords(const Tensor& tensor) const {
    if (tensor.type != schema::kInt32) Fail(std::string("words of type ") + schema::NameOf(tensor.type));
  }

  float Scale(const Tensor& tensor) const {
    if (tensor.quantization.scale.size() != 1) Fail("an int8 tensor '" + tensor.name + "' without one scale");
    return tensor.quantization.scale[0];
  }

  int ZeroPoint(const Tensor& tensor) const {
    const std::vector<int64_t>& zero_point = tensor.quantization.zero_point;
    const int64_t value = zero_point.empty() ? 0 : zero_point[0];
    if (zero_point.size() > 1 || value < -128 || value > 127) {
      Fail("an int8 tensor '" + tensor.name + "' without one zero point of -128 to 127");
    }
    return static_cast<int>(value);
  }

 private:
  const Tensor& At(int32_t index, const char* what) const {
    if (index < 0 || static_cast<size_t>(index) >= graph_.tensors.size()) Fail(std::string(what) + " left out");
    return graph_.tensors[static_cast<size_t>(index)];
  }

  const flatbuffer::Model& model_;
  const flatbuffer::Subgraph& graph_;
  const flatbuffer::Operator& node_;
  const std::string& name_;
};

Padding PaddingOf(const Reader& node, int option) {
  if (option != 0 && option != 1) node.Fail("padding=" + std::to_string(option));
  return option == 0 ? Padding::kSame : Padding::kValid;
}

bool PadsWithOne(const Reader& node, int option) {
  if (option != 0 && option != 1) node.Fail("pad_values=" + std::to_string(option));
  return option == 1;
}

// As LCE has it: any other activation is none.
Activation ActivationOf(int option) {
  return option >= 1 && option <= 3 ? static_cast<Activation>(option) : Activation::kNone;
}

void ReadConvOptions(const Reader& node, ConvSpec* spec) {
  const Options options = node.options();
  spec->channels_in = OptionOf(options, "channels_in");
  spec->stride_height = OptionOf(options, "stride_height");
  spec->stride_width = OptionOf(options, "stride_width");
  spec->dilation_height = OptionOf(options, "dilation_height_factor");
  spec->dilation_width = OptionOf(options, "dilation_width_factor");
  spec->padding = PaddingOf(node, OptionOf(options, "padding"));
  spec->pad_with_one = PadsWithOne(node, OptionOf(options, "pad_values"));
  spec->activation = ActivationOf(OptionOf(options, "fused_activation_function"));
  if (spec->channels_in < 1) node.Fail("channels_in=" + std::to_string(spec->channels_in));
}

void ReadFilter(const Reader& node, ConvSpec* spec) {
  const std::vector<int32_t>& shape = node.input(1).shape;
  if (shape.size() != 4) node.Fail("a filter of rank " + std::to_string(shape.size()));
  spec->channels_out = shape[0];
  spec->kernel_height = shape[1];
  spec->kernel_width = shape[2];
  const int words = static_cast<int>((int64_t{spec->channels_in} + 31) / 32);
  if (shape[3] < 1 || words % shape[3] != 0) {
    const std::string channels = std::to_string(spec->channels_in);
    node.Fail("a filter of " + std::to_string(shape[3]) + " words for channels_in=" + channels);
  }
  spec->groups = words / shape[3];
  spec->filter = node.Constant<uint32_t>(1, schema::kInt32);
}

void ReadOutput(const Reader& node, ConvSpec* spec) {
  const Tensor& output = node.output();
  if (output.type == schema::kInt32) {
    spec->output = Output::kBits;
    spec->threshold = node.Constant<int32_t>(4, schema::kInt32);
    return;
  }
  if (node.TypeOf(output) == Value::kBool) node.Fail("an output of type BOOL");
  spec->multiplier = node.Constant<float>(2, schema::kFloat32);
  spec->bias = node.Constant<float>(3, schema::kFloat32);
  if (output.type != schema::kInt8) return;
  spec->output = Output::kInt8;
  spec->scale = node.Scale(output);
  spec->zero_point = node.ZeroPoint(output);
}

std::unique_ptr<Op> ReadConv(const Reader& node, Isa isa) {
  node.CheckCounts(5);
  node.CheckWords(node.input(0));
  ConvSpec spec;
  ReadConvOptions(node, &spec);
  ReadFilter(node, &spec);
  ReadOutput(node, &spec);
  return MakeConv(std::move(spec), isa);
}

std::unique_ptr<Op> ReadQuantize(const Reader& node, Isa isa) {
  node.CheckCounts(1);
  node.CheckWords(node.output());
  QuantizeSpec spec;
  spec.input = node.TypeOf(node.input(0));
  if (spec.input == Value::kInt8) spec.zero_point = node.ZeroPoint(node.input(0));
  return MakeQuantize(spec, isa);
}

std::unique_ptr<Op> ReadDequantize(const Reader& node) {
  node.CheckCounts(1);
  node.CheckWords(node.input(0));
  const Tensor& output = node.output();
  DequantizeSpec spec;
  spec.output = node.TypeOf(output);
  spec.channels = output.shape.empty() ? 0 : output.shape.back();
  if (spec.output == Value::kInt8) {
    spec.scale = node.Scale(output);
    spec.zero_point = node.ZeroPoint(output);
  }
  return MakeDequantize(spec);
}

std::unique_ptr<Op> ReadMaxPool(const Reader& node) {
  node.CheckCounts(1);
  node.CheckWords(node.input(0));
  node.CheckWords(node.output());
  const Options options = node.options();
  MaxPoolSpec spec;
  spec.filter_height = OptionOf(options, "filter_height");
  spec.filter_width = OptionOf(options, "filter_width");
  spec.stride_height = OptionOf(options, "stride_height");
  spec.stride_width = OptionOf(options, "stride_width");
  spec.padding = PaddingOf(node, OptionOf(options, "padding"));
  return MakeMaxPool(spec);
}

std::unique_ptr<Op> ReadOp(const Reader& node, Isa isa) {
  if (node.name() == "LceBconv2d") return ReadConv(node, isa);
  if (node.name() == "LceQuantize") return ReadQuantize(node, isa);
  if (node.name() == "LceDequantize") return ReadDequantize(node);
  if (node.name() == "LceBMaxPool2d") return ReadMaxPool(node);
  throw Error("The file has a binary operator that is not known. Received: " + node.name() +
              ". Use a file that Larq Compute Engine 0.16 wrote.");
}

}  // namespace

bool IsBinary(const flatbuffer::OperatorCode& code) {
  return code.builtin == schema::kCustom && code.custom.compare(0, 3, "Lce") == 0;
}

std::unique_ptr<Op> ReadNode(const flatbuffer::Model& model, const flatbuffer::Subgraph& graph,
                             const flatbuffer::Operator& node, Isa isa) {
  const Reader reader(model, graph, node);
  std::unique_ptr<Op> op = ReadOp(reader, isa);
  const std::vector<int32_t>&in = reader.input(0).shape, &out = reader.output().shape;
  const Shape found = op->Resize(Shape(in.begin(), in.end()));
  if (found != Shape(out.begin(), out.end())) reader.Fail("an output of another shape than it computes");
  if (CountOf(found) == 0) reader.Fail("an empty output");
  return op;
}

}  // namespace kqat::lce
