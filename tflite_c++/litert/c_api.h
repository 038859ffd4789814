// The part of LiteRT's C API that kqat uses, as ai-edge-litert 2.3 exports it.
//
// No package ships headers for `libLiteRt.so`, so its functions are declared here once. They are looked up by name when
// a program starts (library.h), which also checks the sizes and the order of the structures below against the library.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

typedef int LiteRtStatus;
constexpr LiteRtStatus kLiteRtStatusOk = 0;
constexpr LiteRtStatus kLiteRtStatusErrorInvalidArgument = 1;

typedef struct LiteRtEnvironmentT* LiteRtEnvironment;
typedef struct LiteRtModelT* LiteRtModel;
typedef struct LiteRtOptionsT* LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT* LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT* LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT* LiteRtTensorBuffer;

constexpr int kLiteRtHwAcceleratorCpu = 1;

typedef struct {
  int type;
  union {
    int64_t int_value;
    const void* ptr_value;
  };
} LiteRtAny;
constexpr int kLiteRtAnyTypeInt = 2;

typedef struct {
  int tag;
  LiteRtAny value;
} LiteRtEnvOption;
static_assert(sizeof(LiteRtEnvOption) == 24, "LiteRtEnvOption is laid out differently here than in LiteRT");
constexpr int kLiteRtEnvOptionTagAutoRegisterAccelerators = 24;
constexpr int kLiteRtEnvOptionTagMinLoggerSeverity = 25;
constexpr int kLiteRtLogSeverityError = 3;

typedef int LiteRtElementType;
constexpr LiteRtElementType kLiteRtElementTypeFloat32 = 1;
constexpr LiteRtElementType kLiteRtElementTypeInt32 = 2;
constexpr LiteRtElementType kLiteRtElementTypeUInt8 = 3;
constexpr LiteRtElementType kLiteRtElementTypeInt64 = 4;
constexpr LiteRtElementType kLiteRtElementTypeBool = 6;
constexpr LiteRtElementType kLiteRtElementTypeInt16 = 7;
constexpr LiteRtElementType kLiteRtElementTypeInt8 = 9;

typedef int LiteRtTensorBufferLockMode;
constexpr LiteRtTensorBufferLockMode kLiteRtTensorBufferLockModeRead = 0;
constexpr LiteRtTensorBufferLockMode kLiteRtTensorBufferLockModeWrite = 1;

constexpr int kLiteRtTensorMaxRank = 8;
constexpr size_t kLiteRtHostMemoryAlignment = 64;

typedef struct {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[kLiteRtTensorMaxRank];
  uint32_t strides[kLiteRtTensorMaxRank];
} LiteRtLayout;
static_assert(sizeof(LiteRtLayout) == 68, "LiteRtLayout is laid out differently here than in LiteRT");

typedef struct {
  LiteRtElementType element_type;
  LiteRtLayout layout;
} LiteRtRankedTensorType;
static_assert(sizeof(LiteRtRankedTensorType) == 72, "LiteRtRankedTensorType is laid out differently here");

// A kernel of a custom operator. LiteRT 2.3 ignores what the callbacks return, gives `Run` no options, and keeps one
// `user_data` per operator name.
typedef struct {
  LiteRtStatus (*Init)(void* user_data, const void* init_data, size_t init_data_size);
  LiteRtStatus (*GetOutputLayouts)(void* user_data, size_t num_inputs, const LiteRtLayout* input_layouts,
                                   size_t num_outputs, LiteRtLayout* output_layouts);
  LiteRtStatus (*Run)(void* user_data, size_t num_inputs, const LiteRtTensorBuffer* inputs, size_t num_outputs,
                      LiteRtTensorBuffer* outputs);
  LiteRtStatus (*Destroy)(void* user_data);
} LiteRtCustomOpKernel;

LiteRtStatus LiteRtCreateEnvironment(int num_options, const LiteRtEnvOption* options, LiteRtEnvironment* environment);
void LiteRtDestroyEnvironment(LiteRtEnvironment environment);

// The bytes stay the caller's, and must outlive the model.
LiteRtStatus LiteRtCreateModelFromBuffer(LiteRtEnvironment environment, const void* bytes, size_t size,
                                         LiteRtModel* model);
void LiteRtDestroyModel(LiteRtModel model);

LiteRtStatus LiteRtCreateOptions(LiteRtOptions* options);
void LiteRtDestroyOptions(LiteRtOptions options);
LiteRtStatus LiteRtSetOptionsHardwareAccelerators(LiteRtOptions options, int accelerators);
// Options take the opaque options over.
LiteRtStatus LiteRtAddOpaqueOptions(LiteRtOptions options, LiteRtOpaqueOptions opaque);
LiteRtStatus LiteRtAddCustomOpKernelOption(LiteRtOptions options, const char* name, int version,
                                           const LiteRtCustomOpKernel* kernel, void* user_data);
LiteRtStatus LiteRtCreateOpaqueOptions(const char* identifier, void* payload, void (*destroy)(void* payload),
                                       LiteRtOpaqueOptions* options);

LiteRtStatus LiteRtCreateCompiledModel(LiteRtEnvironment environment, LiteRtModel model, LiteRtOptions options,
                                       LiteRtCompiledModel* compiled);
void LiteRtDestroyCompiledModel(LiteRtCompiledModel compiled);
LiteRtStatus LiteRtGetCompiledModelInputTensorLayout(LiteRtCompiledModel compiled, size_t signature, size_t input,
                                                     LiteRtLayout* layout);
LiteRtStatus LiteRtGetCompiledModelOutputTensorLayouts(LiteRtCompiledModel compiled, size_t signature, size_t count,
                                                       LiteRtLayout* layouts, bool update_allocation);
LiteRtStatus LiteRtCompiledModelResizeInputTensor(LiteRtCompiledModel compiled, size_t signature, size_t input,
                                                  const int* dimensions, size_t rank);
LiteRtStatus LiteRtRunCompiledModel(LiteRtCompiledModel compiled, size_t signature, size_t num_inputs,
                                    LiteRtTensorBuffer* inputs, size_t num_outputs, LiteRtTensorBuffer* outputs);

// The memory stays the caller's if `deallocate` is null; aligned to kLiteRtHostMemoryAlignment.
LiteRtStatus LiteRtCreateTensorBufferFromHostMemory(const LiteRtRankedTensorType* type, void* memory, size_t size,
                                                    void (*deallocate)(void* memory), LiteRtTensorBuffer* buffer);
LiteRtStatus LiteRtGetTensorBufferTensorType(LiteRtTensorBuffer buffer, LiteRtRankedTensorType* type);
LiteRtStatus LiteRtGetTensorBufferSize(LiteRtTensorBuffer buffer, size_t* size);
LiteRtStatus LiteRtLockTensorBuffer(LiteRtTensorBuffer buffer, void** memory, LiteRtTensorBufferLockMode mode);
LiteRtStatus LiteRtUnlockTensorBuffer(LiteRtTensorBuffer buffer);
void LiteRtDestroyTensorBuffer(LiteRtTensorBuffer buffer);

}  // extern "C"

// Every function above, without its prefix LiteRt.
#define KQAT_LITERT_FUNCTIONS(X)         \
  X(CreateEnvironment)                   \
  X(DestroyEnvironment)                  \
  X(CreateModelFromBuffer)               \
  X(DestroyModel)                        \
  X(CreateOptions)                       \
  X(DestroyOptions)                      \
  X(SetOptionsHardwareAccelerators)      \
  X(AddOpaqueOptions)                    \
  X(AddCustomOpKernelOption)             \
  X(CreateOpaqueOptions)                 \
  X(CreateCompiledModel)                 \
  X(DestroyCompiledModel)                \
  X(GetCompiledModelInputTensorLayout)   \
  X(GetCompiledModelOutputTensorLayouts) \
  X(CompiledModelResizeInputTensor)      \
  X(RunCompiledModel)                    \
  X(CreateTensorBufferFromHostMemory)    \
  X(GetTensorBufferTensorType)           \
  X(GetTensorBufferSize)                 \
  X(LockTensorBuffer)                    \
  X(UnlockTensorBuffer)                  \
  X(DestroyTensorBuffer)
