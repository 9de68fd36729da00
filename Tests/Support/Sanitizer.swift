private import Glibc

/// What this program and the ones of this project that it starts are built with besides; see `make sanitize`.
package enum Sanitizer {
    package static let isAddress = unsafe dlsym(nil, "__asan_init") != nil
    package static let isThread = unsafe dlsym(nil, "__tsan_init") != nil

    /// Either has an allocator of its own, which keeps what is freed, and forbids core dumps.
    package static var isPresent: Bool { isAddress || isThread }
}
