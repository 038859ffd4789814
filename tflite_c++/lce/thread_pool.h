// Threads that share the chunks of one loop at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kqat::lce {

// `threads - 1` threads that wait for loops; the caller of For() is the last one. They start with the first loop, so
// that a process may still fork before. One loop runs at a time: callers on several threads wait for each other.
class ThreadPool {
 public:
  // Throws Error: less than 1 or more than kMaxThreads threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls body(0), ..., body(chunks - 1), in any order and on any thread, and returns when all have returned. The body
  // must not throw.
  void For(int64_t chunks, const std::function<void(int64_t)>& body);

  static constexpr int kMaxThreads = 1024;

 private:
  void Start();
  void Work();
  void Take();

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex loop_;   // held by the caller of For
  std::mutex mutex_;  // guards what follows, where it is not atomic
  std::condition_variable start_, done_;
  const std::function<void(int64_t)>* body_ = nullptr;
  int64_t chunks_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<uint64_t> round_{0};
  int busy_ = 0;
  std::atomic<bool> stop_{false};
};

}  // namespace kqat::lce
