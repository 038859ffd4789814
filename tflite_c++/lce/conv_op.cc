#include <string>
#include <utility>

#include "errors/error.h"
#include "lce/conv.h"
#include "lce/op.h"

namespace kqat::lce {
namespace {

class ConvOp : public Op {
 public:
  ConvOp(ConvSpec spec, Isa isa) : conv_(std::move(spec), isa) {}

  Shape Resize(const Shape& input) override {
    if (input.size() != 4 || input[3] != conv_.spec().words_in()) {
      throw Error("A binary convolution gets another input than it has weights for. Received: rank " +
                  std::to_string(input.size()) + ". Use [batch, height, width, " +
                  std::to_string(conv_.spec().words_in()) + "].");
    }
    conv_.Resize(input[0], input[1], input[2]);
    input_bytes_ = conv_.input_bytes();
    output_bytes_ = conv_.output_bytes();
    return {input[0], conv_.rows().out, conv_.columns().out, conv_.output_depth()};
  }

  void Run(const void* input, void* output, ThreadPool& pool) override {
    conv_.Run(static_cast<const uint32_t*>(input), output, pool);
  }

 private:
  BinaryConv conv_;
};

}  // namespace

std::unique_ptr<Op> MakeConv(ConvSpec spec, Isa isa) { return std::make_unique<ConvOp>(std::move(spec), isa); }

}  // namespace kqat::lce
