#include <stddef.h>
#include <stdint.h>

/* libFuzzer has no header for its driver; this is its declaration (compiler-rt, FuzzerDriver.cpp). */
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *bytes, size_t count));
