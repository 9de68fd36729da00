private import Support

/// What the kernel says that a process takes.
struct ProcessFigures: Codable, Sendable {
    /// All of it in memory, and its most since the start.
    let residentBytes: Int
    let residentBytesMax: Int
    /// Of that, its own: not of files, such as the program and its libraries.
    let anonymousBytes: Int
    /// Of all its threads, since its start.
    let cpuSeconds: Double

    /// - Throws: when there is no such process any more.
    init(of pid: Int32) throws {
        let status = try ProcessStatus(of: pid)
        (residentBytes, residentBytesMax) = (try status.residentBytes, try status.residentBytesMax)
        (anonymousBytes, cpuSeconds) = (try status.anonymousBytes, status.cpuSeconds)
    }
}
