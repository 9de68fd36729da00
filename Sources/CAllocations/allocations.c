#include "CAllocations.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

// glibc's own names for its allocator, which stay when a program brings its own malloc
// ("Replacing malloc" in its manual).
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Atomic unsigned long counted, counted_of_openssl;
static __thread int is_ignored;

void allocations_ignore_this_thread(void) { is_ignored = 1; }
unsigned long allocations_counted(void) { return counted; }
unsigned long allocations_counted_of_openssl(void) { return counted_of_openssl; }

static void count(void) {
    if (!is_ignored) counted++;
}

void *allocations_openssl_malloc(size_t bytes, const char *file, int line) {
    if (!is_ignored) counted_of_openssl++;
    return __libc_malloc(bytes);
}

void *allocations_openssl_realloc(void *memory, size_t bytes, const char *file, int line) {
    if (!is_ignored) counted_of_openssl++;
    return __libc_realloc(memory, bytes);
}

void allocations_openssl_free(void *memory, const char *file, int line) { __libc_free(memory); }

// Sanitizers bring an allocator of their own, which must not be replaced.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
void *malloc(size_t bytes) {
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
    count();
    return __libc_calloc(items, bytes);
}

void *realloc(void *memory, size_t bytes) {
    count();
    return __libc_realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    *memory = memalign(alignment, bytes);
    return *memory ? 0 : ENOMEM;
}

void free(void *memory) { __libc_free(memory); }
#endif
