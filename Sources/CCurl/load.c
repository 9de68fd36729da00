#include "CCurl.h"
#include <dlfcn.h>

struct shim_curl shim_curl;

const char *shim_load(const char *name) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) return dlerror();
    struct shim_curl found;
    // POSIX has dlsym's pointer converted like this.
#define LOOK_UP(function) \
    *(void **)&found.function = dlsym(library, #function); \
    if (!found.function) return dlerror();
    SHIM_CURL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    shim_curl = found;
    return NULL;
}
