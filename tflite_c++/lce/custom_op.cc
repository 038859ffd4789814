#include "lce/custom_op.h"

#include <exception>
#include <utility>

#include "errors/error.h"
#include "litert/library.h"

namespace kqat::lce {
namespace {

// What LiteRT hands to the functions below as `user_data`.
struct State {
  std::string name;
  std::unique_ptr<Op> op;
  std::shared_ptr<ThreadPool> pool;
  std::string failure;
};

// Runs `body` and keeps what it throws: nothing may be thrown through LiteRT.
template <typename Body>
LiteRtStatus Guarded(void* user_data, const Body& body) {
  State& state = *static_cast<State*>(user_data);
  try {
    body(state);
    return kLiteRtStatusOk;
  } catch (const std::exception& error) {
    state.failure = state.name + ": " + error.what();
    return kLiteRtStatusErrorInvalidArgument;
  }
}

// A buffer of LiteRT's while it may be read or written.
class Locked {
 public:
  Locked(LiteRtTensorBuffer buffer, int64_t bytes, LiteRtTensorBufferLockMode mode) : buffer_(buffer) {
    size_t size = 0;
    litert::Check(litert::Api().GetTensorBufferSize(buffer, &size), "tell the size of a tensor");
    Require(size >= static_cast<size_t>(bytes), "A tensor is smaller than it should be. Use ai-edge-litert 2.3.");
    litert::Check(litert::Api().LockTensorBuffer(buffer, &memory_, mode), "lock a tensor");
  }
  ~Locked() { litert::Api().UnlockTensorBuffer(buffer_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

  void* memory() const { return memory_; }

 private:
  LiteRtTensorBuffer buffer_;
  void* memory_ = nullptr;
};

void CheckCounts(size_t inputs, size_t outputs) {
  Require(inputs == 1 && outputs == 1, "LiteRT calls with other tensors than the file has. Use ai-edge-litert 2.3.");
}

LiteRtStatus Init(void*, const void*, size_t) { return kLiteRtStatusOk; }

LiteRtStatus Destroy(void*) { return kLiteRtStatusOk; }

LiteRtStatus GetOutputLayouts(void* user_data, size_t num_inputs, const LiteRtLayout* inputs, size_t num_outputs,
                              LiteRtLayout* outputs) {
  return Guarded(user_data, [&](State& state) {
    CheckCounts(num_inputs, num_outputs);
    const Shape shape = state.op->Resize(Shape(inputs->dimensions, inputs->dimensions + inputs->rank));
    outputs[0] = LiteRtLayout{};
    outputs[0].rank = static_cast<unsigned>(shape.size()) & 0x7fu;
    for (size_t i = 0; i < shape.size(); ++i) outputs[0].dimensions[i] = static_cast<int32_t>(shape[i]);
  });
}

LiteRtStatus Run(void* user_data, size_t num_inputs, const LiteRtTensorBuffer* inputs, size_t num_outputs,
                 LiteRtTensorBuffer* outputs) {
  return Guarded(user_data, [&](State& state) {
    CheckCounts(num_inputs, num_outputs);
    const Locked input(inputs[0], state.op->input_bytes(), kLiteRtTensorBufferLockModeRead);
    const Locked output(outputs[0], state.op->output_bytes(), kLiteRtTensorBufferLockModeWrite);
    state.op->Run(input.memory(), output.memory(), *state.pool);
  });
}

}  // namespace

litert::CustomOp MakeCustomOp(std::string name, std::unique_ptr<Op> op, std::shared_ptr<ThreadPool> pool) {
  const auto state = std::make_shared<State>(State{name, std::move(op), std::move(pool), ""});
  litert::CustomOp custom;
  custom.name = std::move(name);
  custom.kernel = {Init, GetOutputLayouts, Run, Destroy};
  custom.state = state;
  custom.failure = std::shared_ptr<std::string>(state, &state->failure);
  return custom;
}

}  // namespace kqat::lce
