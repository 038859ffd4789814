// Memory that LiteRT reads inputs from and writes outputs to.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "litert/handle.h"
#include "runtime/port.h"

namespace kqat::runtime {

// One port's memory and LiteRT's view of it.
class Binding {
 public:
  // Takes `size` bytes, which is at least what the port's shape needs.
  Binding(const Port& port, size_t size);

  uint8_t* data() const { return memory_.get(); }
  LiteRtTensorBuffer buffer() const { return buffer_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* memory) const;
  };
  std::unique_ptr<uint8_t, Free> memory_;
  litert::TensorBuffer buffer_;
};

// Returns LiteRT's name of a type of the file.
LiteRtElementType ElementTypeOf(int type);

}  // namespace kqat::runtime
