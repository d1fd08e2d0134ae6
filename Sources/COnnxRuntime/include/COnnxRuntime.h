#pragma once

#include <stddef.h>
#include <stdint.h>

/// The little of ONNX Runtime's C interface that running a graph takes, from a libonnxruntime that is opened at run time. Its interface is a table of functions
/// whose order never changes: OrtGetApiBase()->GetApi(version), onnxruntime_c_api.h. Version 8 (ONNX Runtime 1.8) and later have all that is used here.
///
/// Functions that can fail return NULL, or a message that the caller frees. Nothing here is called from two threads at once.

typedef struct muster_onnx_session muster_onnx_session;
typedef struct muster_onnx_value muster_onnx_value;

enum { muster_onnx_maximum_rank = 8 };

/// An input or output. `type` is ONNX's: 1 float32, 7 int64, …; 0: it is no tensor. Dimensions that are not fixed are -1.
typedef struct {
  char *name;
  int type;
  size_t rank;
  int64_t shape[muster_onnx_maximum_rank];
} muster_onnx_slot;

/// Opens the library once for the process. `library` is a path, or a name for the dynamic linker.
char *muster_onnx_open(const char *library);

/// The library's version, such as 1.20.1. After `muster_onnx_open`.
const char *muster_onnx_version(void);

/// Reads and optimizes a graph.
char *muster_onnx_load(const char *path, int threads, muster_onnx_session **session);
void muster_onnx_close(muster_onnx_session *session);

/// Valid as long as the session.
const muster_onnx_slot *muster_onnx_inputs(const muster_onnx_session *session, size_t *count);
const muster_onnx_slot *muster_onnx_outputs(const muster_onnx_session *session, size_t *count);

/// The value of a key in metadata_props, to be freed; NULL when there is none.
char *muster_onnx_metadata(const muster_onnx_session *session, const char *key, char **value);

/// A tensor over memory of the caller, which must outlive it.
char *muster_onnx_wrap(
    muster_onnx_session *session, int type, const int64_t *shape, size_t rank, void *bytes, size_t count, muster_onnx_value **value);
void muster_onnx_release(muster_onnx_value *value);

/// Runs the graph once: from the inputs of these names into the outputs of those.
char *muster_onnx_run(
    muster_onnx_session *session, const char *const *input_names, muster_onnx_value *const *inputs, size_t input_count,
    const char *const *output_names, muster_onnx_value **outputs, size_t output_count);
