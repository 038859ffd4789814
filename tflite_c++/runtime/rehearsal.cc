#include "runtime/rehearsal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "errors/error.h"

namespace kqat::runtime {
namespace {

constexpr int kRefused = 3;  // exit status of a child that has an error to tell

class Pipe {
 public:
  Pipe() { Require(pipe(ends_) == 0, "A pipe cannot be made. Received: too many open files. Close some."); }
  ~Pipe() {
    CloseWriter();
    close(ends_[0]);
  }
  void CloseWriter() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }
  int writer() const { return ends_[1]; }

  // Returns everything until the other end closes.
  std::string ReadAll() const {
    std::string text;
    char chunk[512];
    for (;;) {
      const ssize_t size = read(ends_[0], chunk, sizeof chunk);
      if (size > 0) text.append(chunk, static_cast<size_t>(size));
      if (size == 0 || (size < 0 && errno != EINTR)) return text;
    }
  }

 private:
  int ends_[2] = {-1, -1};
};

// LiteRT prints why it refuses a file, and a crash prints too: neither is for the user's terminal.
void Silence() {
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
  }
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

[[noreturn]] void Perform(const std::vector<uint8_t>& bytes, const Settings& settings, unsigned seconds, int writer) {
  Silence();
  std::signal(SIGALRM, SIG_DFL);
  alarm(seconds);
  try {
    Runtime runtime(bytes, settings);
    runtime.Run();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    if (write(writer, text.data(), text.size()) < 0) _exit(1);
    _exit(kRefused);
  }
  _exit(0);
}

int WaitFor(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    Require(errno == EINTR, "A rehearsal got lost. Received: no such process. Leave SIGCHLD as it is.");
  }
  return status;
}

}  // namespace

void Rehearse(const std::vector<uint8_t>& bytes, const Settings& settings, unsigned seconds) {
  Pipe pipe;
  const pid_t child = fork();
  Require(child >= 0, "A process cannot be started. Received: no room for it. End some, or use --trust.");
  if (child == 0) Perform(bytes, settings, seconds, pipe.writer());
  pipe.CloseWriter();
  const std::string said = pipe.ReadAll();
  const int status = WaitFor(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kRefused) throw Error(said);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    throw Error("The first run of the file does not end. Received: " + std::to_string(seconds) +
                " seconds without a result. Use a file written by kqat.export_tflite.");
  }
  throw Error("LiteRT does not survive the file. Received: a crash in its first run. Use a file written by "
              "kqat.export_tflite.");
}

}  // namespace kqat::runtime
