// Time that passes.
#pragma once

#include <chrono>

namespace kqat::measure {

class Timer {
 public:
  double Microseconds() const { return std::chrono::duration<double, std::micro>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace kqat::measure
