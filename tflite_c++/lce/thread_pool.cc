#include "lce/thread_pool.h"

#include <string>

#include "errors/error.h"

namespace kqat::lce {
namespace {

// How often a thread looks for work before it sleeps: a few microseconds, less than waking up costs. A model runs its
// layers back to back.
constexpr int kLooks = 2000;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int Checked(int threads) {
  if (threads >= 1 && threads <= ThreadPool::kMaxThreads) return threads;
  throw Error("Cannot run on that many threads. Received: threads=" + std::to_string(threads) + ". Use 1 to " +
              std::to_string(ThreadPool::kMaxThreads) + ".");
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(Checked(threads)) {}

void ThreadPool::Start() {
  while (static_cast<int>(workers_.size()) < threads_ - 1) workers_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::For(int64_t chunks, const std::function<void(int64_t)>& body) {
  if (threads_ == 1 || chunks < 2) {
    for (int64_t i = 0; i < chunks; ++i) body(i);
    return;
  }
  std::lock_guard<std::mutex> loop(loop_);
  Start();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    chunks_ = chunks;
    next_ = 0;
    busy_ = static_cast<int>(workers_.size());
    ++round_;
  }
  start_.notify_all();
  Take();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
}

void ThreadPool::Take() {
  for (int64_t i; (i = next_.fetch_add(1)) < chunks_;) (*body_)(i);
}

void ThreadPool::Work() {
  for (uint64_t seen = 0;; ++seen) {
    for (int look = 0; look < kLooks && round_ == seen && !stop_; ++look) Pause();
    {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
    }
    Take();
    std::lock_guard<std::mutex> lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace kqat::lce
