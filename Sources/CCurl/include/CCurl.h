// libcurl as Swift sees it: the headers' types, and a function for each call that is used; those with a variable number of
// arguments once for each type of argument.
//
// The library is loaded at its first use and not linked: a webhook has no use for it, and with what it brings along (27
// libraries on Debian 12) it would take as much memory as the whole rest of the webhook's own.
#pragma once
#include <curl/curl.h>
#include <stddef.h>

// What is used of libcurl.
#define SHIM_CURL_FUNCTIONS(EACH) \
    EACH(curl_global_init) \
    EACH(curl_free) \
    EACH(curl_slist_append) \
    EACH(curl_slist_free_all) \
    EACH(curl_url) \
    EACH(curl_url_cleanup) \
    EACH(curl_url_set) \
    EACH(curl_url_get) \
    EACH(curl_url_strerror) \
    EACH(curl_easy_init) \
    EACH(curl_easy_cleanup) \
    EACH(curl_easy_pause) \
    EACH(curl_easy_strerror) \
    EACH(curl_multi_init) \
    EACH(curl_multi_cleanup) \
    EACH(curl_multi_add_handle) \
    EACH(curl_multi_remove_handle) \
    EACH(curl_multi_perform) \
    EACH(curl_multi_poll) \
    EACH(curl_multi_wakeup) \
    EACH(curl_multi_info_read) \
    EACH(curl_multi_strerror) \
    EACH(curl_easy_setopt) \
    EACH(curl_easy_getinfo) \
    EACH(curl_multi_setopt)

// Their addresses. Written by shim_load only; all other functions here need it to have succeeded before.
struct shim_curl {
#define SHIM_MEMBER(name) __typeof__(name) *name;
    SHIM_CURL_FUNCTIONS(SHIM_MEMBER)
#undef SHIM_MEMBER
};
extern struct shim_curl shim_curl;

// Loads the library of this name (dlopen(3)) for the rest of the process's life. Not from two threads at a time.
// Returns NULL, or why that failed, as a text that lasts until the next call of dlopen(3) and the like.
const char *shim_load(const char *name);

static inline CURLcode shim_global_init(long flags) {
    return shim_curl.curl_global_init(flags);
}

static inline void shim_free(void *pointer) {
    shim_curl.curl_free(pointer);
}

static inline struct curl_slist *shim_slist_append(struct curl_slist *list, const char *line) {
    return shim_curl.curl_slist_append(list, line);
}

static inline void shim_slist_free_all(struct curl_slist *list) {
    shim_curl.curl_slist_free_all(list);
}

static inline CURLU *shim_url(void) {
    return shim_curl.curl_url();
}

static inline void shim_url_cleanup(CURLU *url) {
    shim_curl.curl_url_cleanup(url);
}

static inline CURLUcode shim_url_set(CURLU *url, CURLUPart part, const char *text, unsigned flags) {
    return shim_curl.curl_url_set(url, part, text, flags);
}

static inline CURLUcode shim_url_get(CURLU *url, CURLUPart part, char **text, unsigned flags) {
    return shim_curl.curl_url_get(url, part, text, flags);
}

static inline const char *shim_url_strerror(CURLUcode code) {
    return shim_curl.curl_url_strerror(code);
}

static inline CURL *shim_easy_init(void) {
    return shim_curl.curl_easy_init();
}

static inline void shim_easy_cleanup(CURL *easy) {
    shim_curl.curl_easy_cleanup(easy);
}

static inline CURLcode shim_easy_pause(CURL *easy, int directions) {
    return shim_curl.curl_easy_pause(easy, directions);
}

static inline const char *shim_easy_strerror(CURLcode code) {
    return shim_curl.curl_easy_strerror(code);
}

static inline CURLM *shim_multi_init(void) {
    return shim_curl.curl_multi_init();
}

static inline CURLMcode shim_multi_cleanup(CURLM *multi) {
    return shim_curl.curl_multi_cleanup(multi);
}

static inline CURLMcode shim_multi_add_handle(CURLM *multi, CURL *easy) {
    return shim_curl.curl_multi_add_handle(multi, easy);
}

static inline CURLMcode shim_multi_remove_handle(CURLM *multi, CURL *easy) {
    return shim_curl.curl_multi_remove_handle(multi, easy);
}

static inline CURLMcode shim_multi_perform(CURLM *multi, int *running) {
    return shim_curl.curl_multi_perform(multi, running);
}

static inline CURLMcode shim_multi_poll(CURLM *multi, struct curl_waitfd *others, unsigned count, int milliseconds, int *ready) {
    return shim_curl.curl_multi_poll(multi, others, count, milliseconds, ready);
}

static inline CURLMcode shim_multi_wakeup(CURLM *multi) {
    return shim_curl.curl_multi_wakeup(multi);
}

static inline CURLMsg *shim_multi_info_read(CURLM *multi, int *left) {
    return shim_curl.curl_multi_info_read(multi, left);
}

static inline const char *shim_multi_strerror(CURLMcode code) {
    return shim_curl.curl_multi_strerror(code);
}

static inline CURLcode shim_set_long(CURL *easy, CURLoption option, long value) {
    return (shim_curl.curl_easy_setopt)(easy, option, value);
}

static inline CURLcode shim_set_large(CURL *easy, CURLoption option, curl_off_t value) {
    return (shim_curl.curl_easy_setopt)(easy, option, value);
}

static inline CURLcode shim_set_text(CURL *easy, CURLoption option, const char *text) {
    return (shim_curl.curl_easy_setopt)(easy, option, text);
}

static inline CURLcode shim_set_pointer(CURL *easy, CURLoption option, const void *pointer) {
    return (shim_curl.curl_easy_setopt)(easy, option, pointer);
}

static inline CURLcode shim_set_list(CURL *easy, CURLoption option, const struct curl_slist *list) {
    return (shim_curl.curl_easy_setopt)(easy, option, list);
}

// CURL_BLOB_COPY: libcurl keeps bytes of its own.
static inline CURLcode shim_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return (shim_curl.curl_easy_setopt)(easy, option, &blob);
}

// CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION
static inline CURLcode shim_set_write(CURL *easy, CURLoption option, curl_write_callback callback) {
    return (shim_curl.curl_easy_setopt)(easy, option, callback);
}

static inline CURLcode shim_set_prereq(CURL *easy, curl_prereq_callback callback) {
    return (shim_curl.curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, callback);
}

static inline CURLcode shim_set_sockopt(CURL *easy, curl_sockopt_callback callback) {
    return (shim_curl.curl_easy_setopt)(easy, CURLOPT_SOCKOPTFUNCTION, callback);
}

static inline CURLcode shim_get_long(CURL *easy, CURLINFO info, long *value) {
    return (shim_curl.curl_easy_getinfo)(easy, info, value);
}

static inline CURLcode shim_get_pointer(CURL *easy, CURLINFO info, void **pointer) {
    return (shim_curl.curl_easy_getinfo)(easy, info, pointer);
}

static inline CURLMcode shim_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (shim_curl.curl_multi_setopt)(multi, option, value);
}

// The result of a finished transfer sits in a union, which Swift would read without a check.
static inline CURLcode shim_result(const CURLMsg *message) {
    return message->data.result;
}
