/// Tells people how far many handovers have come: on a terminal one line that is drawn anew, else a line for each namespace.
struct TransferProgress {
    private let total: Int
    private let console: Console
    private var done = 0
    private var failed = 0

    init(total: Int, console: Console) {
        self.total = total
        self.console = console
    }

    mutating func take(_ event: TransferBatch.Event) {
        switch event {
        case .done(let namespace, let target, let term, let waited):
            done += 1
            let words = "\(target) leads \(namespace)\(waited ? "" : " already") (term \(term))"
            if !console.errorIsTerminal { write("[\(done + failed)/\(total)] \(words)\n") }
        case .failed(let namespace, let reason):
            failed += 1
            write("[\(done + failed)/\(total)] \(namespace): \(TextTable.printable(reason))\n")
        case .note(let text): write("\(TextTable.printable(text))\n")
        }
        draw()
    }

    /// Leaves the terminal's cursor on a line of its own.
    func end() { if console.errorIsTerminal { console.err("\n") } }

    /// Above the line that is drawn anew, where there is one.
    private func write(_ line: String) { console.err((console.errorIsTerminal ? "\r\u{1B}[K" : "") + line) }

    private func draw() {
        guard console.errorIsTerminal else { return }
        let trouble = failed == 0 ? "" : ", \(failed) not"
        console.err("\r\(done) of \(total) handed over\(trouble)\u{1B}[K")
    }
}
