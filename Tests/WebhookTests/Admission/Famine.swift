import Glibc
import Support

/// Takes away all memory that this process could still allocate, so that whoever allocates crashes.
///
/// A way to see every single allocation, however short its life, in debug and release builds alike: glibc has no hook
/// for malloc(3) any more, and a `malloc` of our own would get in the way of everything else in the test process.
enum Famine {
    /// The sanitizers bring their own allocators, and need memory themselves.
    static let isPossible = !Sanitizer.isPresent

    /// Runs `body` on this thread without memory to allocate. For processes that end soon after.
    static func during(_ body: () -> Void) {
        let addressSpace = __rlimit_resource_t(RLIMIT_AS.rawValue)
        var limit = rlimit()
        precondition(unsafe getrlimit(addressSpace, &limit) == 0)
        var none = limit
        none.rlim_cur = 0
        precondition(unsafe setrlimit(addressSpace, &none) == 0)

        // No page can be added now; what is left lies in malloc's lists, each of which serves its own sizes.
        var taken: UnsafeMutableRawPointer? = nil
        var size = 1 << 26
        while size >= 16 {
            while let chunk = unsafe malloc(size) {
                unsafe chunk.storeBytes(of: taken, as: UnsafeMutableRawPointer?.self)
                unsafe taken = unsafe chunk
            }
            size = size > 2048 ? size / 2 : size - 8
        }
        body()

        while let chunk = unsafe taken {
            unsafe taken = chunk.load(as: UnsafeMutableRawPointer?.self)
            unsafe free(chunk)
        }
        precondition(unsafe setrlimit(addressSpace, &limit) == 0)
    }
}
