#pragma once

#include <stddef.h>
#include <stdint.h>

/// The part of ONNX Runtime's C interface that running a graph needs, from a libonnxruntime that is opened at run time. The interface is a
/// table of functions whose order never changes: OrtGetApiBase()->GetApi(version), onnxruntime_c_api.h. All functions used here exist since
/// version 8 (ONNX Runtime 1.8).
///
/// Functions that can fail return NULL on success, or a message that the caller must free. Nothing here may be called from two threads
/// at once.

typedef struct muster_onnx_session muster_onnx_session;
typedef struct muster_onnx_value muster_onnx_value;

enum { muster_onnx_maximum_rank = 8 };

/// An input or output. `type` is ONNX's number (1 float32, 7 int64, …), or 0 if it is not a tensor or has more dimensions than the maximum
/// rank. Dimensions that are not fixed are -1.
typedef struct {
  char *name;
  int type;
  size_t rank;
  int64_t shape[muster_onnx_maximum_rank];
} muster_onnx_slot;

/// Opens the library, once for the process. `library` is a path, or a name for the dynamic linker.
char *muster_onnx_open(const char *library);

/// The library's version, such as 1.20.1; empty before `muster_onnx_open`.
const char *muster_onnx_version(void);

/// Loads and optimizes a graph.
char *muster_onnx_load(const char *path, int threads, muster_onnx_session **session);
void muster_onnx_close(muster_onnx_session *session);

/// The inputs and outputs of the graph. The arrays are valid as long as the session.
const muster_onnx_slot *muster_onnx_inputs(const muster_onnx_session *session, size_t *count);
const muster_onnx_slot *muster_onnx_outputs(const muster_onnx_session *session, size_t *count);

/// Sets `value` to the value of a key in metadata_props, which the caller must free; NULL if there is none.
char *muster_onnx_metadata(const muster_onnx_session *session, const char *key, char **value);

/// Makes a tensor of the caller's memory, which must outlive it.
char *muster_onnx_wrap(
    muster_onnx_session *session, int type, const int64_t *shape, size_t rank, void *bytes, size_t count, muster_onnx_value **value);
void muster_onnx_release(muster_onnx_value *value);

/// Runs the graph once, with inputs and outputs given by name.
char *muster_onnx_run(
    muster_onnx_session *session, const char *const *input_names, muster_onnx_value *const *inputs, size_t input_count,
    const char *const *output_names, muster_onnx_value **outputs, size_t output_count);
