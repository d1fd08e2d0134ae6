#pragma once

#include <curl/curl.h>

// libcurl's setters and getters are variadic, which Swift cannot call: one typed function for each kind of argument.

static inline CURLcode muster_curl_set_long(CURL *handle, CURLoption option, long value) {
  return curl_easy_setopt(handle, option, value);
}

static inline CURLcode muster_curl_set_offset(CURL *handle, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(handle, option, value);
}

static inline CURLcode muster_curl_set_text(CURL *handle, CURLoption option, const char *value) {
  return curl_easy_setopt(handle, option, value);
}

static inline CURLcode muster_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
  return curl_easy_setopt(handle, option, value);
}

typedef size_t (*muster_curl_data)(char *bytes, size_t size, size_t count, void *context);
typedef int (*muster_curl_seek)(void *context, curl_off_t offset, int origin);

static inline CURLcode muster_curl_set_data(CURL *handle, CURLoption option, muster_curl_data function) {
  return curl_easy_setopt(handle, option, function);
}

static inline CURLcode muster_curl_set_seek(CURL *handle, muster_curl_seek function) {
  return curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, function);
}

static inline CURLcode muster_curl_get_long(CURL *handle, CURLINFO info, long *value) {
  return curl_easy_getinfo(handle, info, value);
}

static inline CURLcode muster_curl_get_offset(CURL *handle, CURLINFO info, curl_off_t *value) {
  return curl_easy_getinfo(handle, info, value);
}

static inline CURLMcode muster_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}

// The pieces of a finished transfer's message: CURLMsg holds a union.
static inline CURLcode muster_curl_result(const CURLMsg *message) { return message->data.result; }
static inline int muster_curl_is_done(const CURLMsg *message) { return message->msg == CURLMSG_DONE; }
