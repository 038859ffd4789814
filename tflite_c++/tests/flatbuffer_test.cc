#include <gtest/gtest.h>

#include <cstring>

#include "flatbuffer/patch.h"
#include "flatbuffer/schema.h"
#include "flatbuffer/structure.h"
#include "tests/support.h"

namespace kqat::flatbuffer {
namespace {

using tests::Bytes;
using tests::ErrorOf;

void Check(const Bytes& bytes) {
  const View view(bytes.data(), bytes.size());
  CheckStructure(ReadModel(view));
}

// Reads a model whose bytes stay alive.
struct Loaded {
  explicit Loaded(Bytes content)
      : bytes(std::move(content)), view(bytes.data(), bytes.size()), model(ReadModel(view)) {}
  Bytes bytes;
  View view;
  Model model;
};

TEST(View, RefusesWhatLiesOutside) {
  const Bytes bytes(8);
  const View view(bytes.data(), bytes.size());
  EXPECT_EQ(view.Number<uint32_t>(4), 0u);
  for (size_t position : {size_t{5}, size_t{8}, SIZE_MAX - 1, SIZE_MAX}) {
    EXPECT_NE(ErrorOf([&] { view.Number<uint32_t>(position); }), "") << position;
  }
}

TEST(View, RefusesCopiesWithoutEnd) {
  const Bytes bytes(8);
  const View view(bytes.data(), bytes.size());
  view.Charge(1 << 20);
  EXPECT_NE(ErrorOf([&] { view.Charge(1 << 20); }), "");
}

TEST(View, ElementsOfAVectorCannotOverflow) {
  Bytes bytes(16);
  std::memset(bytes.data(), 0xFF, 4);  // 2^32 - 1 elements
  const View view(bytes.data(), bytes.size());
  EXPECT_NE(ErrorOf([&] { view.Elements(0, 8); }), "");
}

TEST(Model, ReadsWhatIsThere) {
  const Loaded file(tests::RecordedFile("w8a8_int8.tflite"));
  const Subgraph& graph = file.model.subgraphs.at(0);
  const Tensor& input = graph.tensors.at(static_cast<size_t>(graph.inputs.at(0)));
  EXPECT_EQ(input.type, schema::kInt8);
  EXPECT_EQ(input.signature, (std::vector<int32_t>{-1, 12, 12, 1}));
  EXPECT_EQ(input.quantization.scale.size(), 1u);
  EXPECT_EQ(file.model.signatures.at(0).key, "serving_default");
  EXPECT_NO_THROW(CheckStructure(file.model));
}

TEST(Model, OtherBytesAreNoModel) {
  EXPECT_NE(ErrorOf([] { Check({}); }).find("TFL3"), std::string::npos);
  EXPECT_NE(ErrorOf([] { Check(Bytes(100)); }).find("TFL3"), std::string::npos);
}

TEST(Model, EveryTruncationIsAnError) {
  const Bytes whole = tests::RecordedFile("w8a8.tflite");
  for (size_t size = 0; size < whole.size(); size += size < 256 ? 1 : 7) {
    EXPECT_NE(ErrorOf([&] { Check(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))); }), "")
        << size;
  }
}

// Damages a field and returns the message. Every tensor of the file has a type other than the default.
template <typename Change>
std::string Damaged(Change change) {
  Loaded file(tests::RecordedFile("w8a8_int8.tflite"));
  Patch patch(file.bytes);
  change(file.model, patch);
  return ErrorOf([&] { Check(patch.bytes()); });
}

template <typename T>
size_t FirstElement(const Table& table, int field) {
  const size_t at = table.Find(field);
  return table.file().Elements(at + table.file().Number<uint32_t>(at), sizeof(T)).position;
}

TEST(Structure, FindsWhatIsWrong) {
  namespace t = schema::tensor;
  const auto first = [](const Model& m) { return m.subgraphs[0].tensors[0].table; };
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) { p.Set<int8_t>(first(m).Find(t::kType), 100); }).find("type 100"),
            std::string::npos);
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) {
              const Table op = m.subgraphs[0].operators[0].table;
              p.Set<int32_t>(FirstElement<int32_t>(op, schema::op::kInputs), 9999);
            }).find("reads no existing tensor"),
            std::string::npos);
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) {
              const Table op = m.subgraphs[0].operators[0].table;
              p.Set<int32_t>(FirstElement<int32_t>(op, schema::op::kInputs), m.subgraphs[0].outputs[0]);
            }).find("before it is computed"),
            std::string::npos);
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) {
              p.Set<int32_t>(FirstElement<int32_t>(first(m), t::kShape), -5);
            }).find("negative"),
            std::string::npos);
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) {
              p.Set<uint32_t>(m.table.Find(schema::model::kVersionField), 7);
            }).find("version 7"),
            std::string::npos);
}

TEST(Structure, ShapesAgreeWithStoredBytes) {
  EXPECT_NE(Damaged([&](const Model& m, Patch& p) {
              for (const Tensor& tensor : m.subgraphs[0].tensors) {
                if (!m.buffers[tensor.buffer].data.size || tensor.shape.empty()) continue;
                p.Set<int32_t>(FirstElement<int32_t>(tensor.table, schema::tensor::kShape), tensor.shape[0] + 1);
              }
            }),
            "");
}

TEST(Patch, PointsForwardOnly) {
  Patch patch(Bytes(16));
  const size_t data = patch.AppendBytes(5);
  EXPECT_EQ((data + 4) % 16, 0u);
  patch.Point(8, data);
  const View view(patch.bytes().data(), patch.bytes().size());
  EXPECT_EQ(8 + view.Number<uint32_t>(8), data);
  EXPECT_EQ(view.Elements(data, 1).size, 5u);
  EXPECT_NE(ErrorOf([&] { patch.Point(8, 4); }), "");
  EXPECT_NE(ErrorOf([&] { patch.Point(8, 1 << 20); }), "");
  EXPECT_NE(ErrorOf([&] { patch.Set<uint32_t>(patch.bytes().size() - 3, 0); }), "");
}

TEST(Patch, AppendedVectorsReadBack) {
  Patch patch(Bytes(7));
  const size_t numbers = patch.AppendNumbers({1, -2, 3}), text = patch.AppendString("name");
  const View view(patch.bytes().data(), patch.bytes().size());
  EXPECT_EQ(view.Number<int32_t>(view.Elements(numbers, 4).position + 4), -2);
  const Range range = view.Elements(text, 1);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(view.data()) + range.position, range.size), "name");
  EXPECT_EQ(numbers % 4, 0u);
}

}  // namespace
}  // namespace kqat::flatbuffer
