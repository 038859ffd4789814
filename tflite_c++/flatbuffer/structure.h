// Whether a file holds what LiteRT takes on trust.
#pragma once

#include "flatbuffer/model.h"

namespace kqat::flatbuffer {

// Whether UINT8 constants may hold several values a byte, as they do in packed files.
enum class Form { kPlain, kPacked };

// Checks every index, shapes against stored bytes, quantization parameters, and that each operator reads only what was
// computed before it.
//
// Throws Error: something does not hold; the message says what.
void CheckStructure(const Model& model, Form form = Form::kPlain);

}  // namespace kqat::flatbuffer
