// Runs a `.tflite` file with LiteRT's default CPU path.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "litert/custom_op.h"
#include "runtime/port.h"

namespace kqat::runtime {

struct Settings {
  int threads = 1;
  std::vector<litert::CustomOp> custom_ops;
};

// A loaded file. Not for several threads at once.
class Runtime {
 public:
  // Takes the bytes of a plain file; open.h expands packed files first.
  //
  // Throws Error: the bytes are not a sound model, or LiteRT refuses them.
  Runtime(std::vector<uint8_t> bytes, const Settings& settings);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;

  // Returns the samples of one run: those of the file, or of the last Resize.
  size_t batch() const;

  // Whether Resize may be called: every input's first dimension can change.
  bool resizable() const;
  void Resize(size_t batch);

  // The stored values of one batch; written before and read after Run. They stay in place until Resize.
  uint8_t* input(size_t index);
  const uint8_t* output(size_t index) const;

  void Run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kqat::runtime
