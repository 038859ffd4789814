#include "lce/op.h"

#include <string>

#include "errors/error.h"

namespace kqat::lce {

int64_t CountOf(const Shape& shape) {
  constexpr int64_t kMost = int64_t{1} << 29;
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && count > kMost / size)) {
      throw Error("A tensor of a binary operator needs more than 2 GiB. Received: a side of " + std::to_string(size) +
                  ". Use a smaller model or batch.");
    }
    count *= size;
  }
  return count;
}

}  // namespace kqat::lce
