private import Glibc

/// The files of a ``FileStore``: what there is, and the order of system calls that keeps the promises.
///
/// Everything here blocks; ``FileStore`` gives it a thread and a time limit. Any thread may call it.
///
///     DIR/members/east          one object: a line of JSON with the write's id, then the body
///     DIR/leases/team-a
///     DIR/leases/.new           a body that is being written; after a crash the next write takes it away
///     DIR/leases/.unsynced      there while a rename in this folder may not be on the disk yet
///
/// **Lock.** Every call holds flock(2) on DIR itself, shared to read and exclusive to write. The kernel drops it when
/// its holder dies. It belongs to an open directory, and each call opens its own, so it also holds between two threads
/// (fcntl(2) locks would not, and need a file that somebody could delete). Other programs may take it too: `flock DIR cp
/// -a DIR backup`.
///
/// **Write.** Compare the version, write `.new`, fsync it, create `.unsynced`, rename `.new` over the object, fsync the
/// folder, remove `.unsynced`. A process may be killed between any two instructions: before the rename nothing has
/// happened, after it everything has. Without the fsyncs a power failure could bring back a state from before
/// an acknowledged write: a lease that was given away would be held again, and a term would be used twice.
/// `.unsynced` covers the one state left: a writer killed after the rename. Its write was not acknowledged, but
/// others see it; so whoever takes the lock next first completes the fsync, and what was once read stays true.
///
/// **Version.** The random id that each write puts into the file's first line, then the file's change time (ctime), then a
/// checksum of all its bytes. The id makes every write's version new, whatever the clock does, and with no counter
/// that could be lost or set back, also after `rm`. The checksum shows an edit by hand. The change time, which no
/// program can set, shows old bytes that were put back, from a backup for instance.
/// A changed owner or mode shows as a new version too, which costs a conflict and breaks nothing. A file without
/// that first line, made by hand, is an object like any other, with all of its bytes as the body. An editor takes no lock:
/// an edit at the moment of a write may be lost.
///
/// **Foreign files.** Names that are no ``ObjectName`` are left alone. An object's name that is no regular file,
/// cannot be opened or is larger than ``bodyBytesMax`` is an object that cannot be read.
final class StoreDirectory: Sendable {
    /// Records are about 1 KB; this keeps a file put there by mistake out of memory.
    static let bodyBytesMax = 1 << 20

    private static let temporary = ".new"
    private static let unsynced = ".unsynced"
    /// Objects read in one go while a list holds the lock, so that writers get their turn.
    private static let listBatch = 64

    let path: String
    private let root: FileDescriptor
    // Kept open, so that the inode numbers that identify them are not used again.
    private let members: FileDescriptor
    private let leases: FileDescriptor

    /// Opens the directory.
    ///
    /// - Parameters:
    ///   - creating: whether to make what is missing of it (mode 0700: who can write here decides who leads).
    ///   - fileSystem: what kind of file system holds an open directory.
    /// - Throws: ``StoreError/failed(_:)``.
    init(
        _ path: String, creating: Bool, fileSystem: (borrowing FileDescriptor) throws(SystemError) -> FileSystemKind
    ) throws(StoreError) {
        self.path = path
        do throws(SystemError) {
            if creating { try Self.makeDirectories(path) }
        } catch {
            throw .failed("The store's directory \(path) cannot be made: \(error.explanation)")
        }
        do throws(SystemError) {
            root = try FileDescriptor(path, O_RDONLY | O_DIRECTORY)
        } catch  where error.code == ENOENT && !creating {
            throw Self.nothing(at: path)
        } catch {
            throw .failed("The store's directory \(path) cannot be opened: \(error.explanation)")
        }
        try Self.refuseNetwork(root, path, fileSystem)
        members = try Self.folder(.members, of: path, root, creating)
        leases = try Self.folder(.leases, of: path, root, creating)
        try Self.refuseNetwork(members, "\(path)/members", fileSystem)
        try Self.refuseNetwork(leases, "\(path)/leases", fileSystem)
        do throws(SystemError) {
            if creating { try root.sync() }
        } catch {
            throw .failed("The store's directory \(path) cannot be brought to the disk (fsync): \(error.explanation)")
        }
    }

    // MARK: - Calls

    func read(_ name: ObjectName, _ attempt: Attempt) throws(StoreError) -> StoredObject? {
        let lock = try lock(LOCK_SH, attempt)
        try settle(name.folder)
        let found = try look(name)
        _ = consume lock
        return found?.object
    }

    func write(
        _ name: ObjectName, _ body: [UInt8], replacing version: ObjectVersion?, _ attempt: Attempt
    ) throws(StoreError) -> ObjectVersion {
        guard body.count <= Self.bodyBytesMax else {
            throw .failed(
                "\(path)/\(name) was not written: \(body.count) bytes are more than the \(Self.bodyBytesMax) of an object."
            )
        }
        let lock = try lock(LOCK_EX, attempt)
        try settle(name.folder)
        let current = try look(name)
        guard current?.object.version == version else { throw .conflict }
        if let problem = current?.problem {
            throw .failed("\(path)/\(name) was not replaced: it \(problem). Move it away or repair it by hand.")
        }

        let content = Array("{\"version\":\"\(Self.randomID())\"}\n".utf8) + body
        let file = try prepare(content, for: name)
        try commit(name, attempt)
        let written: ObjectVersion
        do throws(SystemError) {
            written = Self.version(of: content, try file.status())
        } catch {
            throw .unclear("\(path)/\(name) was written, but fstat failed: \(error.explanation)")
        }
        _ = consume lock
        return written
    }

    func list(_ folder: ObjectName.Folder, _ attempt: Attempt) throws(StoreError) -> [StoredObject] {
        let names = try names(folder, attempt)
        var objects: [StoredObject] = []
        objects.reserveCapacity(names.count)
        for start in stride(from: 0, to: names.count, by: Self.listBatch) {
            let lock = try lock(LOCK_SH, attempt)
            try settle(folder)
            for name in names[start..<min(start + Self.listBatch, names.count)] {
                // One that is gone meanwhile was deleted.
                if let found = try look(name) { objects.append(found.object) }
            }
            _ = consume lock
        }
        return objects
    }

    // MARK: - The lock

    /// Waits for the lock; the end of the value returned unlocks.
    ///
    /// - Parameter kind: `LOCK_SH` or `LOCK_EX`.
    private func lock(_ kind: Int32, _ attempt: Attempt) throws(StoreError) -> FileDescriptor {
        attempt.reached("waiting for the lock on \(path), which another process holds (lslocks shows which)")
        let lock: FileDescriptor
        do throws(SystemError) {
            lock = try waitForLock(kind, attempt)
        } catch {
            throw .failed("\(path) cannot be locked: \(error.explanation)")
        }
        guard attempt.isOpen else { throw .failed("Gave up waiting for the lock on \(path).") }
        attempt.reached("reading or writing files in \(path)")
        try verify(path, in: AT_FDCWD, 0, root.raw)
        return lock
    }

    private func waitForLock(_ kind: Int32, _ attempt: Attempt) throws(SystemError) -> FileDescriptor {
        let lock = try FileDescriptor(".", in: root.raw, O_RDONLY | O_DIRECTORY)
        // flock(2) itself would wait for ever; asked again and again, the wait can be given up.
        var microseconds: UInt32 = 250
        while attempt.isOpen {
            if flock(lock.raw, kind | LOCK_NB) == 0 { break }
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR else { throw SystemError(code: code) }
            usleep(microseconds)
            microseconds = min(microseconds * 2, 4000)
        }
        return lock
    }

    /// Makes sure that `name` still leads to the directory that was opened at the start.
    ///
    /// Whoever removes or exchanges a store under a running process made another store of it, an empty one for instance,
    /// in which every lease is free. Only when no cluster acts on the old one any more may a new run go on with that.
    private func verify(
        _ name: String, in directory: Int32, _ flags: Int32, _ opened: Int32
    ) throws(StoreError) {
        var found = stat()
        var known = stat()
        do throws(SystemError) {
            _ = try SystemError.check { unsafe fstatat(directory, name, &found, flags) }
            _ = try SystemError.check { unsafe fstat(opened, &known) }
            if found.st_dev == known.st_dev && found.st_ino == known.st_ino { return }
        } catch {
            throw .failed("\(place(name)) is not there any more: \(error.explanation) Put it back. \(Self.newStore)")
        }
        throw .failed(
            "\(place(name)) is another directory than the one opened at the start. Put that one back. \(Self.newStore)")
    }

    private static let newStore = "To begin a new store, end all clusters that use this one first."

    private func place(_ name: String) -> String { name == path ? path : "\(path)/\(name)" }

    /// Completes the write of a process that was killed before it had brought its rename to the disk.
    ///
    /// Call it with the lock. Several readers may do it at once.
    private func settle(_ folder: ObjectName.Folder) throws(StoreError) {
        let directory = descriptor(folder)
        try verify(folder.rawValue, in: root.raw, AT_SYMLINK_NOFOLLOW, directory)
        do throws(SystemError) {
            if unsafe faccessat(directory, Self.unsynced, F_OK, 0) != 0 {
                let code = errno
                if code == ENOENT { return }
                throw SystemError(code: code)
            }
            _ = try SystemError.check { fsync(directory) }
        } catch {
            throw .failed("\(path)/\(folder.rawValue) cannot be brought to the disk (fsync): \(error.explanation)")
        }
        // May fail for a reader without the right to write; then the next one does the same again.
        unsafe unlinkat(directory, Self.unsynced, 0)
    }

    // MARK: - Reading

    private struct Found {
        let object: StoredObject
        /// Why the object can't be read, as "it ...".
        var problem: String?
    }

    /// Reads one object. Call it with the lock.
    ///
    /// - Throws: ``StoreError/failed(_:)`` when the trouble is not this one object's.
    private func look(_ name: ObjectName) throws(StoreError) -> Found? {
        do throws(SystemError) {
            var status = stat()
            let directory = descriptor(name.folder)
            _ = try SystemError.check { unsafe fstatat(directory, name.name, &status, AT_SYMLINK_NOFOLLOW) }
            guard status.st_mode & S_IFMT == S_IFREG else {
                return unreadable(name, "not-a-file", status, "is no regular file")
            }
            do throws(SystemError) {
                let file = try FileDescriptor(name.name, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
                // The file's own from here on, in case somebody exchanged it since.
                status = try file.status()
                let content = try file.read(limit: Self.bodyBytesMax + Self.headerBytes)
                guard content.count <= Self.bodyBytesMax + Self.headerBytes else {
                    return unreadable(name, "too-large", status, "is larger than \(Self.bodyBytesMax) bytes")
                }
                let body = Self.id(of: content) == nil ? content : Array(content[Self.headerBytes...])
                let version = Self.version(of: content, status)
                return Found(object: StoredObject(name: name, version: version, body: body))
            } catch {
                switch error.code {
                case EACCES, EPERM, EIO, ELOOP, ENXIO, EISDIR, EOVERFLOW:
                    return unreadable(name, "error-\(error.code)", status, "cannot be read: \(error.explanation)")
                default: throw error
                }
            }
        } catch  where error.code == ENOENT {
            return nil
        } catch {
            throw .failed("\(path)/\(name) cannot be read: \(error.explanation)")
        }
    }

    private func unreadable(_ name: ObjectName, _ kind: String, _ status: stat, _ problem: String) -> Found {
        let version = ObjectVersion("unreadable-\(kind)-\(Self.changeTime(status))")
        return Found(object: StoredObject(name: name, version: version, body: []), problem: problem)
    }

    /// The names of all objects of a folder, in order.
    ///
    /// Read under the lock: while files are renamed, readdir(3) may leave out one that was there all the time.
    private func names(
        _ folder: ObjectName.Folder, _ attempt: Attempt
    ) throws(StoreError) -> [ObjectName] {
        let lock = try lock(LOCK_SH, attempt)
        try settle(folder)
        var names: [ObjectName] = []
        do throws(SystemError) {
            let raw = try SystemError.check {
                unsafe openat(descriptor(folder), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            }
            guard let stream = unsafe fdopendir(raw) else {
                let code = errno
                close(raw)
                throw SystemError(code: code)
            }
            defer { unsafe closedir(stream) }
            while true {
                errno = 0
                guard let entry = unsafe readdir(stream) else { break }
                let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                    unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if let name = ObjectName(folder, name) { names.append(name) }
            }
            let code = errno
            if code != 0 { throw SystemError(code: code) }
        } catch {
            throw .failed("\(path)/\(folder.rawValue) cannot be listed: \(error.explanation)")
        }
        _ = consume lock
        return names.sorted { $0.name < $1.name }
    }

    // MARK: - Writing

    /// Brings `content` to the disk under the temporary name.
    private func prepare(_ content: [UInt8], for name: ObjectName) throws(StoreError) -> FileDescriptor {
        let directory = descriptor(name.folder)
        do throws(SystemError) {
            // What a killed writer left; a new file rather than that one, whatever it is.
            if unsafe unlinkat(directory, Self.temporary, 0) != 0 && errno != ENOENT { throw SystemError(code: errno) }
            let file = try FileDescriptor(Self.temporary, in: directory, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            do throws(SystemError) {
                try file.write(content)
                try file.sync()
                _ = try FileDescriptor(Self.unsynced, in: directory, O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o600)
            } catch {
                unsafe unlinkat(directory, Self.temporary, 0)
                throw error
            }
            return file
        } catch {
            throw .failed(
                "\(path)/\(name) was not written: \(name.folder.rawValue)/\(Self.temporary): \(error.explanation)")
        }
    }

    /// Puts the temporary file in the object's place, for good.
    private func commit(_ name: ObjectName, _ attempt: Attempt) throws(StoreError) {
        let directory = descriptor(name.folder)
        // From the rename on the write can be seen; of a call that was given up before, nothing must be.
        guard attempt.begin() else {
            unsafe unlinkat(directory, Self.temporary, 0)
            throw .failed("\(path)/\(name) was not written: it took too long.")
        }
        do throws(SystemError) {
            _ = try SystemError.check { unsafe renameat(directory, Self.temporary, directory, name.name) }
        } catch {
            unsafe unlinkat(directory, Self.temporary, 0)
            throw .failed("\(path)/\(name) was not written: \(error.explanation)")
        }
        guard fsync(directory) == 0 else {
            let error = SystemError(code: errno)
            throw .unclear("\(path)/\(name) was written, but may not survive a power failure: \(error.explanation)")
        }
        unsafe unlinkat(directory, Self.unsynced, 0)
    }

    // MARK: - Versions

    private static let headerStart = Array("{\"version\":\"".utf8)
    private static let headerEnd = Array("\"}\n".utf8)
    private static let idBytes = 32
    private static let headerBytes = headerStart.count + idBytes + headerEnd.count

    /// 128 random bits in hexadecimal.
    private static func randomID() -> String {
        hexadecimal(UInt64.random(in: .min ... .max)) + hexadecimal(UInt64.random(in: .min ... .max))
    }

    /// The id in the first line, or nil when that line is not one that a write made.
    private static func id(of content: [UInt8]) -> String? {
        guard content.count >= headerBytes, content.starts(with: headerStart),
            content[..<headerBytes].reversed().starts(with: headerEnd.reversed())
        else { return nil }
        let id = content[headerStart.count..<headerStart.count + idBytes]
        let isHexadecimal = id.allSatisfy {
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || UInt8(ascii: "a")...UInt8(ascii: "f") ~= $0
        }
        return isHexadecimal ? String(decoding: id, as: UTF8.self) : nil
    }

    private static func version(of content: [UInt8], _ status: stat) -> ObjectVersion {
        // FNV-1a, 64 bits: finds edits, not attacks; who may write here may write anything.
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in content { checksum = (checksum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return ObjectVersion("\(id(of: content) ?? "handmade")-\(changeTime(status))-\(hexadecimal(checksum))")
    }

    private static func changeTime(_ status: stat) -> String {
        "\(status.st_ctim.tv_sec).\(status.st_ctim.tv_nsec)"
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    // MARK: - Directories

    private func descriptor(_ folder: ObjectName.Folder) -> Int32 {
        switch folder {
        case .members: members.raw
        case .leases: leases.raw
        }
    }

    /// mkdir(2) for every part of `path` that is missing, each brought to the disk.
    private static func makeDirectories(_ path: String) throws(SystemError) {
        var status = stat()
        if unsafe stat(path, &status) == 0 { return }
        let parts = path.split(separator: "/")
        for count in 1...max(parts.count, 1) {
            let parent = "/" + parts.prefix(count - 1).joined(separator: "/")
            let made = "/" + parts.prefix(count).joined(separator: "/")
            if unsafe mkdir(made, 0o700) == 0 {
                try FileDescriptor(parent, O_RDONLY | O_DIRECTORY).sync()
            } else if errno != EEXIST {
                throw SystemError(code: errno)
            }
        }
    }

    private static func folder(
        _ folder: ObjectName.Folder, of path: String, _ root: borrowing FileDescriptor, _ creating: Bool
    ) throws(StoreError) -> FileDescriptor {
        do throws(SystemError) {
            if unsafe creating && mkdirat(root.raw, folder.rawValue, 0o700) != 0 && errno != EEXIST {
                throw SystemError(code: errno)
            }
            return try FileDescriptor(folder.rawValue, in: root.raw, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        } catch  where error.code == ENOENT && !creating {
            throw nothing(at: "\(path)/\(folder.rawValue)")
        } catch {
            throw .failed("The store's folder \(path)/\(folder.rawValue) cannot be opened: \(error.explanation)")
        }
    }

    private static func nothing(at path: String) -> StoreError {
        .failed("There is no \(path), so nothing has run with this store yet. Check the spelling.")
    }

    private static func refuseNetwork(
        _ directory: borrowing FileDescriptor, _ path: String,
        _ fileSystem: (borrowing FileDescriptor) throws(SystemError) -> FileSystemKind
    ) throws(StoreError) {
        let kind: FileSystemKind
        do throws(SystemError) {
            kind = try fileSystem(directory)
        } catch {
            throw .failed("The file system of \(path) cannot be told (statfs): \(error.explanation)")
        }
        switch kind {
        case .local: return
        case .refused(let kind):
            throw .failed(
                """
                The store's directory \(path) is on \(kind), where locks and renames may not hold between machines, \
                so that two clusters could lead at once. Use a local disk: \(FileSystemKind.localNames).
                """)
        }
    }
}
