// Counts what is taken from malloc(3), in the programs that link this.
#pragma once
#include <stddef.h>

// Leaves the calling thread out from now on: the one that measures.
void allocations_ignore_this_thread(void);
// How often the other threads have called malloc(3) or one of its relatives; OpenSSL's calls are counted apart.
unsigned long allocations_counted(void);
unsigned long allocations_counted_of_openssl(void);

// For CRYPTO_set_mem_functions(3).
void *allocations_openssl_malloc(size_t bytes, const char *file, int line);
void *allocations_openssl_realloc(void *memory, size_t bytes, const char *file, int line);
void allocations_openssl_free(void *memory, const char *file, int line);
