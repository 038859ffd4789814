// A custom operator for LiteRT to call.
#pragma once

#include <memory>
#include <string>

#include "litert/c_api.h"

namespace kqat::litert {

struct CustomOp {
  std::string name;  // as in the file's operator code; LiteRT keeps one kernel and one state a name
  int version = 1;
  LiteRtCustomOpKernel kernel{};
  std::shared_ptr<void> state;  // handed to the kernel's functions as `user_data`
  // Where the kernel notes why it cannot compute, since LiteRT ignores what it returns; may be null.
  std::shared_ptr<std::string> failure = nullptr;
};

}  // namespace kqat::litert
