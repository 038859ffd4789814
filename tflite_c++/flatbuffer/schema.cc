#include "flatbuffer/schema.h"

namespace kqat::schema {

int BitsOf(int type) {
  switch (type) {
    case kInt2:
      return 2;
    case kInt4:
    case kUInt4:
      return 4;
    case kInt8:
    case kUInt8:
    case kBool:
    case kFloat8E4M3:
    case kFloat8E5M2:
      return 8;
    case kInt16:
    case kUInt16:
    case kFloat16:
    case kBFloat16:
      return 16;
    case kInt32:
    case kUInt32:
    case kFloat32:
      return 32;
    case kInt64:
    case kUInt64:
    case kFloat64:
    case kComplex64:
      return 64;
    case kComplex128:
      return 128;
    default:
      return 0;
  }
}

const char* NameOf(int type) {
  static const char* const kNames[] = {"float32",    "float16", "int32",    "uint8",   "int64",       "string",
                                       "bool",       "int16",   "complex64", "int8",   "float64",     "complex128",
                                       "uint64",     "resource", "variant", "uint32",  "uint16",      "int4",
                                       "bfloat16",   "int2",    "uint4",    "float8e4m3", "float8e5m2"};
  return type >= 0 && type <= kLastType ? kNames[type] : "unknown";
}

}  // namespace kqat::schema
