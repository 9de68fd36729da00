private import FoundationEssentials
private import HTTP
internal import Platform
internal import Support

/// Looks from time to time at what processes use, as the kernel has it, and at what they tell of themselves.
final class Samples: Sendable {
    private let processes: [ChaosProcess]
    private let start: ContinuousClock.Instant
    private let client = HTTPClient()
    private let state: Locked<[Usage]>

    init(of processes: [ChaosProcess], since start: ContinuousClock.Instant) {
        self.processes = processes
        self.start = start
        state = Locked(processes.map { Usage(process: $0.name) })
    }

    var usage: [Usage] { state.withLock { $0 } }

    /// Until the program stops watching.
    func run(every interval: Duration, until stalls: Stalls) async {
        while !stalls.isStopped {
            await withDiscardingTaskGroup { group in
                for index in processes.indices { group.addTask { await self.look(index) } }
            }
            try? await Task.sleep(for: interval, clock: .continuous)
        }
    }

    private func look(_ index: Int) async {
        guard let (process, start) = processes[index].running else { return }
        if let sample = sample(of: process.pid, start) { state.withLock { $0[index].samples.append(sample) } }
        guard let counters = await counters(of: processes[index]) else { return }
        state.withLock { $0[index].counters = counters }
    }

    private func sample(of pid: Int32, _ start: Int) -> Usage.Sample? {
        // Not yet: it is still the program that becomes it; or not any more: it has ended.
        guard let status = try? ProcessStatus(of: pid), status.name == "leasehold", let threads = try? status.threads,
            let resident = try? status.residentBytes, let anonymous = try? status.anonymousBytes
        else { return nil }
        return Usage.Sample(
            time: (ContinuousClock.now - self.start) / .seconds(1), start: start, anonymousBytes: anonymous,
            residentBytes: resident, descriptors: status.descriptors, threads: threads)
    }

    /// nil: it does not answer, as a process that is stopped or down does not.
    private func counters(of process: ChaosProcess) async -> [String: Double]? {
        guard let port = process.metricsPort else { return nil }
        let request = HTTPRequest(.get, "http://127.0.0.1:\(port)/metrics", timeout: .seconds(2))
        guard let answer = try? await client.send(request), answer.status == 200 else { return nil }
        var counters: [String: Double] = [:]
        for line in String(decoding: answer.body, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
            let name = String(line.prefix { $0 != "{" && $0 != " " })
            guard name.hasSuffix("_total"), let value = line.split(separator: " ").last.flatMap({ Double($0) }) else {
                continue
            }
            counters[name, default: 0] += value
        }
        return counters
    }
}
