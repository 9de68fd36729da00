// libcurl as Swift sees it: the headers, and static inline functions in place of the variadic ones, one for each type of
// argument. The names in brackets keep the macros of the same name out, which check the argument's type.
#pragma once
#include <curl/curl.h>

static inline CURLcode shim_set_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode shim_set_large(CURL *easy, CURLoption option, curl_off_t value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode shim_set_text(CURL *easy, CURLoption option, const char *text) {
    return (curl_easy_setopt)(easy, option, text);
}

static inline CURLcode shim_set_pointer(CURL *easy, CURLoption option, const void *pointer) {
    return (curl_easy_setopt)(easy, option, pointer);
}

static inline CURLcode shim_set_list(CURL *easy, CURLoption option, const struct curl_slist *list) {
    return (curl_easy_setopt)(easy, option, list);
}

// CURL_BLOB_COPY: libcurl keeps bytes of its own.
static inline CURLcode shim_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return (curl_easy_setopt)(easy, option, &blob);
}

// CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION
static inline CURLcode shim_set_write(CURL *easy, CURLoption option, curl_write_callback callback) {
    return (curl_easy_setopt)(easy, option, callback);
}

static inline CURLcode shim_set_prereq(CURL *easy, curl_prereq_callback callback) {
    return (curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, callback);
}

static inline CURLcode shim_set_sockopt(CURL *easy, curl_sockopt_callback callback) {
    return (curl_easy_setopt)(easy, CURLOPT_SOCKOPTFUNCTION, callback);
}

static inline CURLcode shim_get_long(CURL *easy, CURLINFO info, long *value) {
    return (curl_easy_getinfo)(easy, info, value);
}

static inline CURLcode shim_get_pointer(CURL *easy, CURLINFO info, void **pointer) {
    return (curl_easy_getinfo)(easy, info, pointer);
}

static inline CURLMcode shim_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}

// The result of a finished transfer sits in a union, which Swift would read without a check.
static inline CURLcode shim_result(const CURLMsg *message) {
    return message->data.result;
}
