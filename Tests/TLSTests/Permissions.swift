import Glibc

/// The permission bits of a file.
func permissions(of path: String) -> UInt32? {
    var info = stat()
    return unsafe stat(path, &info) == 0 ? info.st_mode & 0o7777 : nil
}
