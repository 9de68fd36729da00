/// Reads a run's history, entry by entry, into what a ``Timeline`` of one namespace shows.
struct TimelineCollector {
    typealias Span = Timeline.Span

    let namespace: String
    private let allNamespaces: [String]
    private(set) var lanes: [Timeline.Lane]
    private(set) var requests: [Timeline.Request] = []
    private(set) var writes: [Timeline.Write] = []
    private(set) var marks: [Timeline.Mark] = []
    private(set) var violations: [(time: Int64, text: String)] = []
    /// When the holder changed, or a free record was claimed.
    private(set) var takeovers: [Int64] = []
    private(set) var end: Int64 = 0

    private var places: [String: (lane: Int, process: Int)] = [:]
    private var requestIndex: [Int: Int] = [:]
    private var holder = ""
    private var term: UInt64 = 0
    /// Of each lane, and of the lease record: the last renewal's position in `writes`.
    private var lastRenewal: [Int?: Int] = [:]

    /// Renewals are further apart than that only when something is wrong.
    private static let silence: Int64 = 6_000_000_000

    init(_ history: History, _ namespace: String) {
        self.namespace = namespace
        allNamespaces = history.namespaces
        lanes = history.clusters.map { cluster in
            Timeline.Lane(name: cluster.name, processes: (cluster.replicas + cluster.webhooks).map { .init(name: $0) })
        }
        for (lane, cluster) in history.clusters.enumerated() {
            for (process, name) in (cluster.replicas + cluster.webhooks).enumerated() { places[name] = (lane, process) }
            // A webhook is there from the start; a controller is from when it says so.
            for process in cluster.replicas.count..<lanes[lane].processes.count {
                lanes[lane].processes[process].conditions.append(
                    .init(kind: .running, span: Span(from: 0, to: .max), detail: ""))
            }
        }
    }

    mutating func take(_ entry: History.Entry) {
        end = max(end, entry.time)
        let time = entry.time
        switch entry.kind {
        case .started(let incarnation): begin(.running, at: time, until: .max, incarnation, entry)
        case .ended(let why): endProcess(at: time, why, entry)
        case .stopped(let until): begin(.stopped, at: time, until: until, "", entry)
        case .heldUp(let until): begin(.heldUp, at: time, until: until, "", entry)
        case .suspended(let until): begin(.suspended, at: time, until: until, "", entry)
        case .cutOff(let until, let loss): begin(.cutOff, at: time, until: until, loss.rawValue, entry)
        case .fault(let text): mark(text, entry)
        case .sent(let number, let operation, let namespace):
            send(number, operation, namespace, entry)
        case .arrived(let number, let outcome):
            guard let index = requestIndex[number] else { return }
            requests[index].arrivals.append((time, outcome))
            attachWrite(to: index, at: time)
        case .answered(let number, let answer):
            guard let index = requestIndex[number] else { return }
            requests[index].answered = (time, answer)
        case .leaseWritten(let namespace, let holder, let term):
            if namespace == self.namespace { writeLease(holder, term, at: time) }
        case .memberWritten(let state, let sequence): writeMember(state, sequence, entry)
        case .admits(let namespace, let until):
            if namespace == self.namespace { admit(at: time, until: until, entry) }
        case .note(let text): note(text, entry)
        case .violation(let text): violations.append((time, text))
        }
    }

    mutating func finish() {
        for lane in lanes.indices {
            lanes[lane].admits = Timeline.merged(lanes[lane].processes.flatMap(\.admits))
        }
    }

    // MARK: Processes

    private mutating func place(_ entry: History.Entry) -> (lane: Int, process: Int)? {
        if let place = places[entry.who] { return place }
        // A process that came later. `c0` itself is no process.
        guard let cluster = entry.cluster, lanes.indices.contains(cluster), entry.who != lanes[cluster].name else {
            return nil
        }
        var process = Timeline.Process(name: entry.who)
        process.conditions.append(.init(kind: .running, span: Span(from: entry.time, to: .max), detail: ""))
        lanes[cluster].processes.append(process)
        places[entry.who] = (cluster, lanes[cluster].processes.count - 1)
        return places[entry.who]
    }

    private mutating func begin(
        _ kind: Timeline.Condition.Kind, at time: Int64, until: Int64, _ detail: String, _ entry: History.Entry
    ) {
        guard let (lane, process) = place(entry) else { return }
        cut(lane, process, at: time) { $0 == kind || $0.isLife && kind.isLife }
        guard until > time else { return }
        lanes[lane].processes[process].conditions.append(
            .init(kind: kind, span: Span(from: time, to: until), detail: detail))
    }

    private mutating func endProcess(at time: Int64, _ why: String, _ entry: History.Entry) {
        guard let (lane, process) = place(entry) else { return }
        // What it was doing when it ended says why.
        let life = lanes[lane].processes[process].conditions.lastIndex { $0.kind.isLife && $0.span.to > time }
        if let life { lanes[lane].processes[process].conditions[life].ending = why }
        cut(lane, process, at: time) { $0 != .cutOff }
        admit(at: time, until: .min, entry)
    }

    private mutating func cut(_ lane: Int, _ process: Int, at time: Int64, _ isMeant: (Timeline.Condition.Kind) -> Bool)
    {
        for index in lanes[lane].processes[process].conditions.indices.reversed() {
            let condition = lanes[lane].processes[process].conditions[index]
            guard isMeant(condition.kind), condition.span.to > time else { continue }
            lanes[lane].processes[process].conditions[index].span.to = time
        }
    }

    private mutating func admit(at time: Int64, until: Int64, _ entry: History.Entry) {
        guard let (lane, process) = place(entry) else { return }
        let last = lanes[lane].processes[process].admits.count - 1
        if last >= 0, lanes[lane].processes[process].admits[last].to >= time {
            // It did admit, if only for a moment between two stops.
            let least = max(time, lanes[lane].processes[process].admits[last].from + 1)
            lanes[lane].processes[process].admits[last].to = max(least, until)
        } else if until > time {
            lanes[lane].processes[process].admits.append(Span(from: time, to: until))
        }
    }

    // MARK: Requests and what they write

    private mutating func send(_ number: Int, _ operation: String, _ namespace: String?, _ entry: History.Entry) {
        guard let (lane, _) = place(entry), namespace == nil || namespace == self.namespace else { return }
        requestIndex[number] = requests.count
        requests.append(
            .init(
                number: number, lane: lane, who: entry.who, operation: operation, namespace: namespace,
                sent: entry.time))
    }

    /// The history tells of a write just before it says that the request arrived.
    private mutating func attachWrite(to index: Int, at time: Int64) {
        guard requests[index].namespace == namespace, let last = writes.indices.last, writes[last].lane == nil,
            writes[last].request == nil, writes[last].time == time
        else { return }
        writes[last].request = index
        requests[index].changedHolder = takeovers.last == time
    }

    private mutating func writeLease(_ holder: String, _ term: UInt64, at time: Int64) {
        let isRenewal = holder == self.holder && term == self.term
        if holder != self.holder && !holder.isEmpty { takeovers.append(time) }
        (self.holder, self.term) = (holder, term)
        let text = holder.isEmpty ? "\(namespace) is free, term \(term)" : "\(namespace): \(holder), term \(term)"
        append(.init(time: time, lane: nil, text: text, isStory: !isRenewal))
    }

    private mutating func writeMember(_ state: String, _ sequence: UInt64, _ entry: History.Entry) {
        guard let lane = entry.cluster, lanes.indices.contains(lane) else { return }
        let text = "\(lanes[lane].name) \(state) #\(sequence)"
        append(.init(time: entry.time, lane: lane, text: text, isStory: state != "live"))
    }

    /// A renewal is part of the story when silence follows or went before.
    private mutating func append(_ write: Timeline.Write) {
        var write = write
        if let last = lastRenewal[write.lane], write.time - writes[last].time > Self.silence {
            writes[last].isStory = true
            write.isStory = true
        }
        lastRenewal[write.lane] = writes.count
        writes.append(write)
    }

    // MARK: Texts

    private mutating func mark(_ text: String, _ entry: History.Entry) {
        guard concernsNamespace(text) else { return }
        let lane = places[entry.who]?.lane ?? entry.cluster
        let who = lane.flatMap { lanes.indices.contains($0) ? Timeline.short(entry.who, in: lanes[$0].name) : nil }
        marks.append(.init(time: entry.time, lane: lane, text: "\(who ?? entry.who): \(text)", isNote: false))
    }

    private mutating func note(_ text: String, _ entry: History.Entry) {
        guard let (lane, _) = place(entry) else { return }
        if text.hasPrefix("standingBy") { return begin(.standingBy, at: entry.time, until: .max, "", entry) }
        if text.hasPrefix("tookOver") { begin(.running, at: entry.time, until: .max, "", entry) }
        // What went wrong with requests, and whom others see leading, is in the picture already.
        let isNoise = ["requestFailed", "requestsSucceedAgain", "holderChanged"].contains { text.hasPrefix($0) }
        guard !isNoise, concernsNamespace(text) else { return }
        let who = Timeline.short(entry.who, in: lanes[lane].name)
        marks.append(.init(time: entry.time, lane: lane, text: "\(who): \(inWords(text))", isNote: true))
    }

    /// `led, term: 3` for `led(namespace: "n0", term: 3)`, as the timeline is about one namespace.
    private func inWords(_ note: String) -> String {
        let prefix = "(namespace: \"\(namespace)\""
        guard note.hasSuffix(")"), let range = note.firstRange(of: prefix) else { return note }
        return String(note[..<range.lowerBound] + note[range.upperBound...].dropLast())
    }

    /// Whether a text names this namespace, or none.
    private func concernsNamespace(_ text: String) -> Bool {
        let words = text.split { !($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") }.map(String.init)
        let named = allNamespaces.filter { words.contains($0) }
        return named.isEmpty || named.contains(namespace)
    }
}
