private import CLinux
private import Glibc

/// Whether a file system keeps what ``FileStore`` builds on, judged by its statfs(2) type.
///
/// A local file system is one kernel's: a lock excludes every process that can reach the files, a rename is seen by all
/// of them at once, and fsync(2) reaches the disk. A network one may grant the same flock(2) on two machines, answer
/// from a cache, or carry out a rename after the call failed: two clusters could both take a lease. So only types that
/// are known to be safe are let in; the others, also unknown ones and FUSE, which can be anything, are refused.
enum FileSystemKind: Hashable {
    case local(String)
    case refused(String)

    /// What to use instead, for messages.
    static let localNames = "ext4, xfs, btrfs, f2fs, bcachefs, zfs, tmpfs or overlayfs"

    /// - Parameter magic: `f_type` of statfs(2); values from linux/magic.h and the file systems' own sources.
    init(magic: UInt32) {
        self =
            switch magic {
            case 0x0000_EF53: .local("ext2, ext3 or ext4")
            case 0x5846_5342: .local("xfs")
            case 0x9123_683E: .local("btrfs")
            case 0xF2F5_2010: .local("f2fs")
            case 0xCA45_1A4E: .local("bcachefs")
            case 0x2FC1_2FC1: .local("zfs")
            // The kernel keeps its locks itself, and an upper layer belongs to one mount on one machine.
            case 0x794C_7630: .local("overlayfs")
            // Nothing outlives a restart of the machine, and no process that used the store does.
            case 0x0102_1994: .local("tmpfs")
            case 0x8584_58F6: .local("ramfs")

            case 0x0000_6969: .refused("NFS")
            case 0xFF53_4D42, 0xFE53_4D42, 0x0000_517B: .refused("SMB/CIFS")
            case 0x6573_5546: .refused("FUSE")
            case 0x0102_1997: .refused("9p")
            case 0x00C3_6400: .refused("Ceph")
            case 0x5346_414F, 0x6B41_4653: .refused("AFS")
            case 0x7375_7245: .refused("Coda")
            case 0x0BD0_0BD0: .refused("Lustre")
            case 0x4750_4653: .refused("GPFS")
            case 0x0116_1970: .refused("GFS2")
            case 0x7461_636F: .refused("OCFS2")
            case 0x786F_4256: .refused("a VirtualBox shared folder")
            case 0xBACB_ACBC: .refused("a VMware shared folder")
            default: .refused("type 0x\(String(magic, radix: 16))")
            }
    }

    static func of(_ directory: borrowing FileDescriptor) throws(SystemError) -> FileSystemKind {
        let descriptor = directory.raw
        var answer = statfs()
        _ = try SystemError.check { unsafe fstatfs(descriptor, &answer) }
        return FileSystemKind(magic: UInt32(truncatingIfNeeded: answer.f_type))
    }
}
