#include "runtime/runtime.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "errors/error.h"
#include "flatbuffer/structure.h"
#include "litert/handle.h"
#include "runtime/binding.h"

namespace kqat::runtime {
namespace {

constexpr int kMostThreads = 1024;
constexpr size_t kLargestBatch = 1 << 20;

// LiteRT takes options of the CPU as a text in TOML under this name.
constexpr char kCpuOptions[] = "xnnpack";

// Registers the CPU only, since looking for GPU libraries takes time and prints, and prints errors only.
litert::Environment MakeEnvironment() {
  LiteRtEnvOption options[2] = {};
  options[0].tag = kLiteRtEnvOptionTagAutoRegisterAccelerators;
  options[0].value.int_value = kLiteRtHwAcceleratorCpu;
  options[1].tag = kLiteRtEnvOptionTagMinLoggerSeverity;
  options[1].value.int_value = kLiteRtLogSeverityError;
  for (LiteRtEnvOption& option : options) option.value.type = kLiteRtAnyTypeInt;
  LiteRtEnvironment raw = nullptr;
  litert::Check(litert::Api().CreateEnvironment(2, options, &raw), "create an environment");
  return litert::Environment(raw);
}

litert::Options MakeOptions(const Settings& settings) {
  const litert::Functions& api = litert::Api();
  LiteRtOptions raw = nullptr;
  litert::Check(api.CreateOptions(&raw), "create options");
  litert::Options options(raw);
  litert::Check(api.SetOptionsHardwareAccelerators(raw, kLiteRtHwAcceleratorCpu), "run on the CPU");
  const std::string text = "num_threads = " + std::to_string(settings.threads) + "\n";
  auto payload = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(payload.get(), text.c_str(), text.size() + 1);
  LiteRtOpaqueOptions opaque = nullptr;
  const auto destroy = [](void* p) { delete[] static_cast<char*>(p); };
  litert::Check(api.CreateOpaqueOptions(kCpuOptions, payload.get(), destroy, &opaque), "create options of the CPU");
  payload.release();  // the options' own now
  litert::Check(api.AddOpaqueOptions(raw, opaque), "take options of the CPU");
  for (const litert::CustomOp& op : settings.custom_ops) {
    litert::Check(api.AddCustomOpKernelOption(raw, op.name.c_str(), op.version, &op.kernel, op.state.get()),
                  "take a custom operator");
  }
  return options;
}

// Returns the names of tensors in the first signature, which has to cover the graph's inputs or outputs.
std::vector<Port> MakePorts(const flatbuffer::Subgraph& graph, const std::vector<int32_t>& indices,
                            const std::vector<flatbuffer::TensorMap>* maps) {
  std::vector<Port> ports;
  std::set<int32_t> seen;
  for (int32_t index : indices) {
    const flatbuffer::Tensor& tensor = graph.tensors[static_cast<size_t>(index)];
    std::string name = tensor.name;
    if (maps) {
      const auto found = std::find_if(maps->begin(), maps->end(),
                                      [&](const auto& map) { return map.tensor == static_cast<uint32_t>(index); });
      if (found == maps->end() || maps->size() != indices.size()) {
        throw Error("The signature of the file leaves out inputs or outputs. Received: no name for '" + tensor.name +
                    "'. Use a file written by kqat.export_tflite.");
      }
      name = found->name;
    }
    if (!seen.insert(index).second) {
      throw Error("An input or output occurs twice. Received: '" + name + "'. Use a file where each has a tensor.");
    }
    ports.push_back(MakePort(tensor, std::move(name)));
  }
  return ports;
}

// Returns the first dimension of an output at the batch of the inputs. Some kernels, TOPK_V2 among them, size
// their outputs in the run only: what LiteRT says before it is of another batch, and it would write behind the memory.
int32_t FirstAt(const Port& input, const Port& output) {
  const int64_t first = int64_t{output.first} * input.shape[0] / std::max(input.first, 1);
  Require(first <= std::numeric_limits<int32_t>::max(),
          "An output is too large. Received: more than 2147483647 rows. Use a smaller batch.");
  return static_cast<int32_t>(first);
}

// Custom operators note why they could not compute; LiteRT itself goes on, or fails later and says less.
void Check(LiteRtStatus status, const char* what, const Settings& settings) {
  for (const litert::CustomOp& op : settings.custom_ops) {
    if (op.failure && !op.failure->empty()) throw Error(std::exchange(*op.failure, std::string()));
  }
  litert::Check(status, what);
}

std::vector<LiteRtTensorBuffer> Buffers(const std::vector<Binding>& bindings) {
  std::vector<LiteRtTensorBuffer> buffers;
  for (const Binding& binding : bindings) buffers.push_back(binding.buffer());
  return buffers;
}

}  // namespace

// Members that others refer to come first: they are destroyed last.
struct Runtime::State {
  std::vector<uint8_t> bytes;
  Settings settings;
  litert::Environment environment;
  litert::Model model;
  litert::Options options;
  litert::CompiledModel compiled;
  std::vector<Port> inputs, outputs;
  std::vector<size_t> output_sizes;  // in bytes, of the memory
  std::vector<Binding> input_bindings, output_bindings;
  std::vector<LiteRtTensorBuffer> input_buffers, output_buffers;
  bool resizable = false;

  void ReadPorts();
  void Compile();
  void ReadOutputShapes();
  void CheckInputShapes();
  void Bind();
};

void Runtime::State::ReadPorts() {
  const flatbuffer::View view(bytes.data(), bytes.size());
  const flatbuffer::Model file = flatbuffer::ReadModel(view);
  CheckStructure(file);
  const flatbuffer::Signature* signature = file.signatures.empty() ? nullptr : &file.signatures[0];
  const flatbuffer::Subgraph& graph = file.subgraphs[signature ? signature->subgraph : 0];
  inputs = MakePorts(graph, graph.inputs, signature ? &signature->inputs : nullptr);
  outputs = MakePorts(graph, graph.outputs, signature ? &signature->outputs : nullptr);
  Require(!inputs.empty() && !outputs.empty(),
          "The file computes nothing. Received: no inputs or no outputs. Use a file written by kqat.export_tflite.");
  resizable = std::all_of(inputs.begin(), inputs.end(), [](const Port& port) { return port.resizable; });
}

void Runtime::State::Compile() {
  const litert::Functions& api = litert::Api();
  environment = MakeEnvironment();
  LiteRtModel raw_model = nullptr;
  litert::Check(api.CreateModelFromBuffer(environment.get(), bytes.data(), bytes.size(), &raw_model), "read the file");
  model.reset(raw_model);
  options = MakeOptions(settings);
  LiteRtCompiledModel raw_compiled = nullptr;
  Check(api.CreateCompiledModel(environment.get(), raw_model, options.get(), &raw_compiled), "prepare the file",
        settings);
  compiled.reset(raw_compiled);
}

// LiteRT numbers inputs as the graph does; a release that does not is found here, unless shapes are equal.
void Runtime::State::CheckInputShapes() {
  for (size_t i = 0; i < inputs.size(); ++i) {
    LiteRtLayout layout{};
    litert::Check(litert::Api().GetCompiledModelInputTensorLayout(compiled.get(), 0, i, &layout), "describe an input");
    const std::vector<int32_t> shape(layout.dimensions, layout.dimensions + layout.rank);
    Require(shape == inputs[i].shape,
            "LiteRT sees other inputs than the file has. Received: another shape. Use ai-edge-litert 2.3.");
  }
}

void Runtime::State::ReadOutputShapes() {
  std::vector<LiteRtLayout> layouts(outputs.size());
  output_sizes.resize(outputs.size());
  Check(litert::Api().GetCompiledModelOutputTensorLayouts(compiled.get(), 0, layouts.size(), layouts.data(),
                                                          /*update_allocation=*/true),
        "prepare the file for this batch", settings);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const LiteRtLayout& layout = layouts[i];
    Require(layout.rank <= kLiteRtTensorMaxRank && layout.rank == outputs[i].shape.size(),
            "LiteRT sees other outputs than the file has. Received: another rank. Use ai-edge-litert 2.3.");
    outputs[i].shape.assign(layout.dimensions, layout.dimensions + layout.rank);
    output_sizes[i] = outputs[i].Bytes();
    if (resizable && outputs[i].resizable) outputs[i].shape[0] = FirstAt(inputs[0], outputs[i]);
    output_sizes[i] = std::max(output_sizes[i], outputs[i].Bytes());  // LiteRT refuses less than it knows of
  }
}

void Runtime::State::Bind() {
  input_bindings.clear();
  output_bindings.clear();
  for (const Port& port : inputs) input_bindings.emplace_back(port, port.Bytes());
  for (size_t i = 0; i < outputs.size(); ++i) output_bindings.emplace_back(outputs[i], output_sizes[i]);
  input_buffers = Buffers(input_bindings);
  output_buffers = Buffers(output_bindings);
}

Runtime::Runtime(std::vector<uint8_t> bytes, const Settings& settings) : state_(std::make_unique<State>()) {
  if (settings.threads < 1 || settings.threads > kMostThreads) {
    throw Error("The number of threads is out of range. Received: " + std::to_string(settings.threads) +
                ". Use 1 to 1024.");
  }
  state_->bytes = std::move(bytes);
  state_->settings = settings;
  state_->ReadPorts();
  state_->Compile();
  state_->CheckInputShapes();
  state_->ReadOutputShapes();
  state_->Bind();
}

Runtime::~Runtime() = default;

const std::vector<Port>& Runtime::inputs() const { return state_->inputs; }
const std::vector<Port>& Runtime::outputs() const { return state_->outputs; }
bool Runtime::resizable() const { return state_->resizable; }
uint8_t* Runtime::input(size_t index) { return state_->input_bindings.at(index).data(); }
const uint8_t* Runtime::output(size_t index) const { return state_->output_bindings.at(index).data(); }

size_t Runtime::batch() const {
  const std::vector<int32_t>& shape = state_->inputs[0].shape;
  return shape.empty() ? 1 : static_cast<size_t>(shape[0]);
}

void Runtime::Resize(size_t batch) {
  if (batch == this->batch()) return;
  if (!resizable() || batch < 1 || batch > kLargestBatch) {
    throw Error("The batch cannot be changed. Received: " + std::to_string(batch) + " samples for a file of " +
                std::to_string(this->batch()) + ". Use a file with a batch of any size, and 1 to 1048576 samples.");
  }
  for (size_t i = 0; i < state_->inputs.size(); ++i) {
    std::vector<int32_t>& shape = state_->inputs[i].shape;
    shape[0] = static_cast<int32_t>(batch);
    litert::Check(
        litert::Api().CompiledModelResizeInputTensor(state_->compiled.get(), 0, i, shape.data(), shape.size()),
        "change the batch");
  }
  state_->ReadOutputShapes();
  state_->Bind();
}

void Runtime::Run() {
  State& s = *state_;
  Check(litert::Api().RunCompiledModel(s.compiled.get(), 0, s.input_buffers.size(), s.input_buffers.data(),
                                       s.output_buffers.size(), s.output_buffers.data()),
        "run the file", s.settings);
}

}  // namespace kqat::runtime
