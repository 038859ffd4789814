// Objects of LiteRT that end with their scope.
#pragma once

#include <memory>

#include "litert/library.h"

namespace kqat::litert {

// Destroys with the function of the library that `member` names.
template <typename T, void (*Functions::*member)(T*)>
struct Destroy {
  void operator()(T* object) const { (Api().*member)(object); }
};

using Environment = std::unique_ptr<LiteRtEnvironmentT, Destroy<LiteRtEnvironmentT, &Functions::DestroyEnvironment>>;
using Model = std::unique_ptr<LiteRtModelT, Destroy<LiteRtModelT, &Functions::DestroyModel>>;
using Options = std::unique_ptr<LiteRtOptionsT, Destroy<LiteRtOptionsT, &Functions::DestroyOptions>>;
using CompiledModel =
    std::unique_ptr<LiteRtCompiledModelT, Destroy<LiteRtCompiledModelT, &Functions::DestroyCompiledModel>>;
using TensorBuffer =
    std::unique_ptr<LiteRtTensorBufferT, Destroy<LiteRtTensorBufferT, &Functions::DestroyTensorBuffer>>;

}  // namespace kqat::litert
