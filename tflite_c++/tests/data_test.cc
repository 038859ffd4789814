#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>

#include "data/dataset.h"
#include "data/gzip.h"
#include "data/idx.h"
#include "data/labels.h"
#include "files/file.h"
#include "measure/memory.h"
#include "tests/support.h"

namespace kqat::data {
namespace {

namespace fs = std::filesystem;
using tests::Bytes;
using tests::ErrorOf;

const Bytes kIdx = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 40};

Bytes Gzipped(const Bytes& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(bytes.size() + 100);
  stream.next_in = const_cast<uint8_t*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// A folder that goes away with its scope.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "kqat_test_XXXXXX").string();
    Require(mkdtemp(name.data()), "A folder is needed. Received: none. Use a machine with a temporary folder.");
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }

  std::string Write(const std::string& name, const Bytes& bytes) const {
    fs::create_directories((path_ / name).parent_path());
    files::WriteFile((path_ / name).string(), bytes.data(), bytes.size());
    return (path_ / name).string();
  }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

Bytes Text(const std::string& text) { return {text.begin(), text.end()}; }

TEST(Idx, ReadsPlainAndCompressed) {
  for (const Bytes& bytes : {kIdx, Gzipped(kIdx)}) {
    const Idx idx = ReadIdx(bytes);
    EXPECT_EQ(idx.shape, (std::vector<uint32_t>{2, 1, 2}));
    EXPECT_EQ(idx.values, (Bytes{10, 20, 30, 40}));
  }
}

TEST(Idx, EveryTruncationIsAnError) {
  for (const Bytes& whole : {kIdx, Gzipped(kIdx)}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_NE(ErrorOf([&] { ReadIdx(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))); }), "");
    }
  }
}

TEST(Gzip, ABombIsRefusedBeforeMemoryIsTaken) {
  // A block that does not refer to what was before it can be repeated as it is.
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  const Bytes zeros(size_t{1} << 24);
  Bytes block(size_t{1} << 20);
  stream.next_out = block.data();
  size_t start = 0;
  for (int i = 0; i < 2; ++i) {
    start = stream.total_out;
    stream.avail_out = static_cast<uInt>(block.size() - start);
    stream.next_in = const_cast<uint8_t*>(zeros.data());
    stream.avail_in = static_cast<uInt>(zeros.size());
    deflate(&stream, Z_FULL_FLUSH);
  }
  block.resize(stream.total_out);
  deflateEnd(&stream);
  Bytes bomb = block;
  for (int i = 0; i < 64; ++i) {
    bomb.insert(bomb.end(), block.begin() + static_cast<std::ptrdiff_t>(start), block.end());
  }
  const size_t before = measure::PeakBytes();
  EXPECT_NE(ErrorOf([&] { Gunzip(bomb); }).find("more than 1 GiB"), std::string::npos);
  EXPECT_LT(measure::PeakBytes() - before, size_t{1} << 26);
}

TEST(Gzip, IsReadToItsLastByte) {
  for (const size_t size : {size_t{0}, size_t{1}, (size_t{1} << 20) - 1, size_t{1} << 20, (size_t{1} << 20) + 1}) {
    EXPECT_EQ(Gunzip(Gzipped(Bytes(size, 7))), Bytes(size, 7));
  }
}

TEST(Idx, RefusesOtherTypesAndSizes) {
  Bytes floats = kIdx;
  floats[2] = 0x0D;
  const Bytes huge = {0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 7};
  EXPECT_NE(ErrorOf([&] { ReadIdx(floats); }).find("0x08"), std::string::npos);
  EXPECT_NE(ErrorOf([&] { ReadIdx(huge); }).find("another size"), std::string::npos);
}

TEST(Idx, MutationsAreErrorsOrData) {
  tests::Random random(2);
  for (int i = 0; i < 2000; ++i) {
    const Bytes mutated = tests::Mutated(i % 2 ? kIdx : Gzipped(kIdx), random);
    ErrorOf([&] { ReadIdx(mutated); });
  }
}

TEST(DataSet, IdxWithLabels) {
  const Folder folder;
  const std::string pictures = folder.Write("x.idx", kIdx);
  const std::string labels = folder.Write("y.idx", {0, 0, 8, 1, 0, 0, 0, 2, 5, 9});
  const auto set = Open(pictures, labels, {});
  ASSERT_EQ(set->size(), 2u);
  EXPECT_EQ(set->Picture(1).values, (Bytes{30, 40}));
  EXPECT_EQ(set->Label(1), 9);
  EXPECT_NE(ErrorOf([&] { Open(pictures, pictures, {}); }).find("do not belong"), std::string::npos);
}

TEST(DataSet, FolderWithClasses) {
  const Folder folder;
  const Bytes picture = Text("P5\n1 1\n255\n\x07");
  folder.Write("b/one.pgm", picture);
  folder.Write("a/two.pgm", picture);
  folder.Write("loose.pgm", picture);
  folder.Write("a/notes.txt", picture);
  const auto set = Open(folder.path(), "", {"c", "b", "a"});
  ASSERT_EQ(set->size(), 3u);
  EXPECT_EQ(set->Label(0), 2);
  EXPECT_EQ(set->Label(1), 1);
  EXPECT_EQ(set->Label(2), kUnknown);
  EXPECT_EQ(set->Picture(0).values, Bytes{7});
  EXPECT_NE(ErrorOf([&] { Open(folder.path(), "", {"c"}); }).find("no class"), std::string::npos);
}

TEST(Labels, OneALine) {
  const Folder folder;
  EXPECT_EQ(ReadLabels(folder.Write("l", Text("shoe\r\nbag\n\n"))), (std::vector<std::string>{"shoe", "bag"}));
  EXPECT_EQ(ReadLabels(folder.Write("c", Text("\x1b[31mred\x07\nm\xC3\xBCller\na\xC2\x9B" "b\x7F\tc"))),
            (std::vector<std::string>{"?[31mred?", "m\xC3\xBCller", "a?b??c"}));
  // One byte is a control character to old terminals, but not inside a character: this one is a sailing boat.
  EXPECT_EQ(ReadLabels(folder.Write("o", Text("\x9B" "31mred\n\xE2\x9B\xB5\nm\xFCller\n\xE2\x9B"))),
            (std::vector<std::string>{"?31mred", "\xE2\x9B\xB5", "m\xFCller", "\xE2?"}));
  // An escape in more bytes than it needs, which some decoders take.
  EXPECT_EQ(ReadLabels(folder.Write("m", Text("\xC0\x9B|\xE0\x80\x9B|\xF0\x80\x80\x9B"))),
            (std::vector<std::string>{"\xC0?|\xE0??|\xF0???"}));
  EXPECT_NE(ErrorOf([&] { ReadLabels(folder.Write("e", {})); }), "");
  EXPECT_NE(ErrorOf([&] { ReadLabels(folder.path() + "/missing"); }), "");
}

}  // namespace
}  // namespace kqat::data
