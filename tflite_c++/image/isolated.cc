#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "errors/error.h"
#include "image/decode.h"

namespace kqat::image {
namespace {

constexpr int kRefused = 3;  // exit status of a child that has an error to tell
constexpr unsigned kSeconds = 60;

bool WriteAll(int end, const void* data, size_t size) {
  const char* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = write(end, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

std::vector<uint8_t> ReadAll(int end) {
  std::vector<uint8_t> bytes;
  uint8_t chunk[1 << 16];
  for (;;) {
    const ssize_t size = read(end, chunk, sizeof chunk);
    if (size > 0) bytes.insert(bytes.end(), chunk, chunk + size);
    if (size == 0 || (size < 0 && errno != EINTR)) return bytes;
  }
}

// Sends height, width, channels and the values, or the text of an error.
[[noreturn]] void Send(const std::vector<uint8_t>& bytes, int end) {
  const int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  alarm(kSeconds);
  try {
    const Image image = DecodeHere(bytes);
    const int32_t head[] = {image.height, image.width, image.channels};
    _exit(WriteAll(end, head, sizeof head) && WriteAll(end, image.values.data(), image.values.size()) ? 0 : 1);
  } catch (const std::exception& error) {
    _exit(WriteAll(end, error.what(), std::strlen(error.what())) ? kRefused : 1);
  }
}

Image Parse(const std::vector<uint8_t>& received) {
  int32_t head[3] = {};
  Image image;
  if (received.size() >= sizeof head) {
    std::memcpy(head, received.data(), sizeof head);
    image = {head[0], head[1], head[2], {received.begin() + sizeof head, received.end()}};
  }
  const size_t count = static_cast<size_t>(head[0]) * static_cast<size_t>(head[1]) * static_cast<size_t>(head[2]);
  Require(count > 0 && count == image.values.size(), "The picture got lost. Received: a part of it. Try again.");
  return image;
}

}  // namespace

Image Decode(const std::vector<uint8_t>& bytes) {
  int ends[2];
  Require(pipe(ends) == 0, "A pipe cannot be made. Received: too many open files. Close some.");
  const pid_t child = fork();
  if (child == 0) Send(bytes, ends[1]);
  close(ends[1]);
  const std::vector<uint8_t> received = child > 0 ? ReadAll(ends[0]) : std::vector<uint8_t>();
  close(ends[0]);
  Require(child > 0, "A process cannot be started. Received: no room for it. End some.");
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    Require(errno == EINTR, "A decoder got lost. Received: no such process. Leave SIGCHLD as it is.");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kRefused) throw Error({received.begin(), received.end()});
  Require(WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "The picture cannot be decoded. Received: bytes that the decoder does not survive. Use a whole PNG, JPEG, "
          "BMP, PGM or PPM file.");
  return Parse(received);
}

}  // namespace kqat::image
