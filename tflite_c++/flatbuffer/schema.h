// Numbers of the fields, types and operators of the `.tflite` schema that kqat reads.
#pragma once

#include <cstdint>

namespace kqat::schema {

constexpr uint32_t kVersion = 3;

// Fields, table by table.
namespace model {
enum { kVersionField, kOperatorCodes, kSubgraphs, kDescription, kBuffers, kMetadataBuffer, kMetadata, kSignatures };
}
namespace operator_code {
enum { kDeprecatedBuiltin, kCustomCode, kVersion, kBuiltin };
}
namespace subgraph {
enum { kTensors, kInputs, kOutputs, kOperators, kName };
}
namespace tensor {
enum { kShape, kType, kBuffer, kName, kQuantization, kIsVariable, kSparsity, kShapeSignature };
}
namespace quantization {
enum { kMin, kMax, kScale, kZeroPoint, kDetailsType, kDetails, kAxis };
}
namespace op {
enum { kCode, kInputs, kOutputs, kOptionsType, kOptions, kCustomOptions, kCustomFormat, kMutating, kIntermediates };
}
namespace buffer {
enum { kData, kOffset, kSize };
}
namespace metadata {
enum { kName, kBuffer };
}
namespace signature {
enum { kInputs, kOutputs, kKey, kDeprecated, kSubgraph };
}
namespace tensor_map {
enum { kName, kTensor };
}

enum TensorType : int8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt32 = 2,
  kUInt8 = 3,
  kInt64 = 4,
  kString = 5,
  kBool = 6,
  kInt16 = 7,
  kComplex64 = 8,
  kInt8 = 9,
  kFloat64 = 10,
  kComplex128 = 11,
  kUInt64 = 12,
  kResource = 13,
  kVariant = 14,
  kUInt32 = 15,
  kUInt16 = 16,
  kInt4 = 17,
  kBFloat16 = 18,
  kInt2 = 19,
  kUInt4 = 20,
  kFloat8E4M3 = 21,
  kFloat8E5M2 = 22,
};
constexpr int kLastType = kFloat8E5M2;

constexpr int32_t kCustom = 32;  // the operator whose name is in its code

// Returns the bits of a value of a type, 0 where the type has no fixed size.
int BitsOf(int type);
const char* NameOf(int type);

}  // namespace kqat::schema
