#define _GNU_SOURCE
#include "COnnxRuntime.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Indices in the table of functions, as in onnxruntime_c_api.h, which guarantees their order.
enum {
  get_error_message = 2,
  create_env = 3,
  create_session = 7,
  run = 9,
  create_session_options = 10,
  set_optimization_level = 23,
  set_intra_threads = 24,
  set_inter_threads = 25,
  input_count = 30,
  output_count = 31,
  input_type = 33,
  output_type = 34,
  input_name = 36,
  output_name = 37,
  create_tensor = 49,
  type_to_tensor = 55,
  element_type = 60,
  dimension_count = 61,
  dimensions = 62,
  create_cpu_memory = 69,
  allocator_free = 76,
  default_allocator = 78,
  release_status = 93,
  release_memory = 94,
  release_session = 95,
  release_value = 96,
  release_type = 98,
  release_session_options = 100,
  get_metadata = 111,
  lookup_metadata = 116,
  release_metadata = 118,
};

enum { api_version = 8, errors_only = 3, optimize_all = 99, device_allocator = 0, default_memory = 0 };

typedef void *status;
typedef struct {
  const void *const *(*get)(uint32_t version);
  const char *(*version)(void);
} api_base;

// Calls the function at an index of the table with these parameter types.
#define CALL(place, ...) ((status(*)(__VA_ARGS__))api[place])

static const void *const *api;
static const api_base *base;
static void *env;

struct muster_onnx_session {
  void *session;
  void *memory;
  void *allocator;
  muster_onnx_slot *inputs, *outputs;
  size_t input_count, output_count;
};

static void release(int place, void *what) {
  if (what) ((void (*)(void *))api[place])(what);
}

/// Releases a status and returns a copy of its message; NULL for success.
static char *message(status failure) {
  if (!failure) return NULL;
  const char *text = ((const char *(*)(status))api[get_error_message])(failure);
  char *copy = strdup(text ? text : "unknown error");
  release(release_status, failure);
  return copy;
}

char *muster_onnx_open(const char *library) {
  char *text = NULL;
  if (env) return NULL;
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    return strdup(why ? why : library);
  }
  const api_base *(*entry)(void) = (const api_base *(*)(void))dlsym(handle, "OrtGetApiBase");
  if (!entry || !(base = entry())) return asprintf(&text, "%s is not ONNX Runtime", library) < 0 ? NULL : text;
  api = base->get(api_version);
  if (!api) return asprintf(&text, "%s is ONNX Runtime %s, but 1.8 or later is needed", library, base->version()) < 0 ? NULL : text;
  return message(CALL(create_env, int, const char *, void **)(errors_only, "muster", &env));
}

const char *muster_onnx_version(void) { return base ? base->version() : ""; }

static char *read_slot(muster_onnx_session *s, int is_input, size_t index, muster_onnx_slot *slot) {
  void *type = NULL, *tensor = NULL;
  char *name = NULL;
  char *failure =
      message(CALL(is_input ? input_name : output_name, void *, size_t, void *, char **)(s->session, index, s->allocator, &name));
  if (failure) return failure;
  slot->name = strdup(name);
  (void)message(CALL(allocator_free, void *, void *)(s->allocator, name));
  failure = message(CALL(is_input ? input_type : output_type, void *, size_t, void **)(s->session, index, &type));
  if (failure) return failure;
  failure = message(CALL(type_to_tensor, void *, void **)(type, &tensor));
  if (!failure && tensor) {
    failure = message(CALL(element_type, void *, int *)(tensor, &slot->type));
    if (!failure) failure = message(CALL(dimension_count, void *, size_t *)(tensor, &slot->rank));
    if (!failure && slot->rank > muster_onnx_maximum_rank) slot->type = 0;
    if (!failure && slot->type) failure = message(CALL(dimensions, void *, int64_t *, size_t)(tensor, slot->shape, slot->rank));
  }
  release(release_type, type);
  return failure;
}

static char *read_slots(muster_onnx_session *s, int is_input, muster_onnx_slot **slots, size_t *count) {
  size_t found = 0;
  char *failure = message(CALL(is_input ? input_count : output_count, void *, size_t *)(s->session, &found));
  if (failure) return failure;
  *slots = calloc(found ? found : 1, sizeof **slots);
  if (!*slots) return strdup("out of memory");
  *count = found;
  for (size_t i = 0; i < found && !failure; i++) failure = read_slot(s, is_input, i, *slots + i);
  return failure;
}

char *muster_onnx_load(const char *path, int threads, muster_onnx_session **session) {
  void *options = NULL;
  muster_onnx_session *s = calloc(1, sizeof *s);
  *session = NULL;
  if (!s) return strdup("out of memory");
  char *failure = message(CALL(create_session_options, void **)(&options));
  if (!failure) failure = message(CALL(set_intra_threads, void *, int)(options, threads));
  if (!failure) failure = message(CALL(set_inter_threads, void *, int)(options, 1));
  if (!failure) failure = message(CALL(set_optimization_level, void *, int)(options, optimize_all));
  if (!failure) failure = message(CALL(create_session, void *, const char *, void *, void **)(env, path, options, &s->session));
  if (!failure) failure = message(CALL(create_cpu_memory, int, int, void **)(device_allocator, default_memory, &s->memory));
  if (!failure) failure = message(CALL(default_allocator, void **)(&s->allocator));
  if (!failure) failure = read_slots(s, 1, &s->inputs, &s->input_count);
  if (!failure) failure = read_slots(s, 0, &s->outputs, &s->output_count);
  release(release_session_options, options);
  if (failure) muster_onnx_close(s);
  else *session = s;
  return failure;
}

static void free_slots(muster_onnx_slot *slots, size_t count) {
  for (size_t i = 0; i < count; i++) free(slots[i].name);
  free(slots);
}

void muster_onnx_close(muster_onnx_session *s) {
  if (!s) return;
  free_slots(s->inputs, s->input_count);
  free_slots(s->outputs, s->output_count);
  release(release_memory, s->memory);
  release(release_session, s->session);
  free(s);
}

const muster_onnx_slot *muster_onnx_inputs(const muster_onnx_session *s, size_t *count) {
  *count = s->input_count;
  return s->inputs;
}

const muster_onnx_slot *muster_onnx_outputs(const muster_onnx_session *s, size_t *count) {
  *count = s->output_count;
  return s->outputs;
}

char *muster_onnx_metadata(const muster_onnx_session *s, const char *key, char **value) {
  void *metadata = NULL;
  char *found = NULL;
  *value = NULL;
  char *failure = message(CALL(get_metadata, void *, void **)(s->session, &metadata));
  if (!failure) failure = message(CALL(lookup_metadata, void *, void *, const char *, char **)(metadata, s->allocator, key, &found));
  if (!failure && found) {
    *value = strdup(found);
    (void)message(CALL(allocator_free, void *, void *)(s->allocator, found));
  }
  release(release_metadata, metadata);
  return failure;
}

char *muster_onnx_wrap(
    muster_onnx_session *s, int type, const int64_t *shape, size_t rank, void *bytes, size_t count, muster_onnx_value **value) {
  return message(CALL(create_tensor, void *, void *, size_t, const int64_t *, size_t, int, void **)(
      s->memory, bytes, count, shape, rank, type, (void **)value));
}

void muster_onnx_release(muster_onnx_value *value) { release(release_value, value); }

char *muster_onnx_run(
    muster_onnx_session *s, const char *const *input_names, muster_onnx_value *const *inputs, size_t input_count,
    const char *const *output_names, muster_onnx_value **outputs, size_t output_count) {
  return message(CALL(
      run, void *, void *, const char *const *, muster_onnx_value *const *, size_t, const char *const *, size_t, muster_onnx_value **)(
      s->session, NULL, input_names, inputs, input_count, output_names, output_count, outputs));
}
