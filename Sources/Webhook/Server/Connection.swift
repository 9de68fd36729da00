private import Glibc

/// One client's connection: handshake, requests and answers, and its end. Confined to its loop.
///
/// It moves on in turns: ``proceed(at:)`` does what can be done without waiting and says what to wait for. Answers go
/// before requests: while an answer waits for its reader, nothing more is read.
final class Connection {
    /// What a turn ended with.
    enum Wish: Equatable {
        case input
        case output
        /// Another turn without waiting for the socket, once the other connections have had theirs.
        case turn
        case close
    }

    private enum Phase {
        /// TLS is being agreed on.
        case greeting
        case serving
        /// After a refusal: the client may still be sending, and if the socket were closed now, the kernel would reset
        /// the connection and the client might never see the answer (RFC 9112, section 9.6).
        case lingering
    }

    /// What follows once all answers are sent.
    private enum Ending {
        case none
        case close
        case linger
    }

    private let index: Int
    private var transport: Transport
    private var phase: Phase
    private var ending = Ending.none
    private var parser: RequestParser
    private var sentContinue = false
    private var hasAnswered = false
    /// The beginning of a request whose rest has not arrived, or requests behind an answer that is not sent; nil while
    /// there is neither, so that an idle connection holds no buffer.
    private var input: ByteBuffer?
    /// What the socket did not take of the answers.
    private var output: ByteBuffer?
    /// Whether a part of the answers is lost, so that nothing more can be sent.
    private var isBroken = false
    /// What to wait for while ``output`` is not nil.
    private var waitForOutput: Wish = .output
    /// What the loop watches the socket for.
    var interest = Poller.Interest.input
    /// Whether the loop has noted that it wished for another turn.
    var isUnfinished = false

    /// - Parameter index: its place in the loop, for its timeouts.
    init(_ transport: consuming Transport, index: Int, at bench: Workbench) {
        phase = transport.isPlain ? .serving : .greeting
        bench.timeouts.start(transport.isPlain ? .idle : .request, for: index, at: bench.now)
        self.transport = transport
        self.index = index
        parser = RequestParser(bodyBytesMax: bench.limits.bodyBytesMax)
    }

    var descriptor: Int32 { transport.descriptor }

    /// Whether the next turn may be a costly step of a TLS handshake.
    var isHandshaking: Bool { phase == .greeting }

    private var isIdle: Bool { input == nil && output == nil && ending == .none && !isHandshaking }

    /// Does what can be done now. Called when the socket is ready for what was wished, and when the server stops.
    func proceed(at bench: Workbench) -> Wish {
        let wish =
            switch phase {
            case .greeting: greet(at: bench)
            case .serving: serve(at: bench)
            case .lingering: drain(at: bench)
            }
        guard wish == .input, bench.isStopping, isIdle else { return wish }
        // The first request of a new connection is on its way, probably, and if it were lost the client might not send it
        // again: Go's http.Transport takes the chance only on a connection that has served before.
        if hasAnswered { return .close }
        if bench.timeouts.kind(of: index) != .linger { bench.timeouts.start(.linger, for: index, at: bench.now) }
        return .input
    }

    /// Hands its buffers back, as the last thing. The socket is closed when the connection goes.
    func finish(at bench: Workbench) {
        if let input { bench.pool.giveBack(input) }
        if let output { bench.pool.giveBack(output) }
        if output != nil || isBroken { transport.reset() } else { transport.endOutput() }
        input = nil
        output = nil
    }

    private func greet(at bench: Workbench) -> Wish {
        switch transport.handshake() {
        case .done:
            phase = .serving
            bench.timeouts.start(.idle, for: index, at: bench.now)
            // The first request may have come along with the end of the handshake; if not, epoll tells.
            return transport.hasPending ? serve(at: bench) : .input
        case .wantsRead: return .input
        case .wantsWrite: return .output
        case .closed: return .close
        case .failed(let error):
            bench.counters.handshakeFailures.wrappingAdd(1, ordering: .relaxed)
            bench.notices.handshakeFailed(with: SocketAddress.peer(of: descriptor), on: bench.name, "\(error)")
            return .close
        }
    }

    // MARK: Requests

    private func serve(at bench: Workbench) -> Wish {
        if output != nil {
            if let wish = sendRest(at: bench) { return wish }
            // Requests that came behind the answer wait in the buffer, not in the socket.
            if let input, let wish = answerRequests(in: input, at: bench) { return wish }
        }
        let wish = receive(at: bench)
        if !bench.input.isEmpty, !keep(bench.input, at: bench) { return refuseForWantOfMemory(at: bench) }
        return wish
    }

    /// Reads and answers until nothing more has arrived or others should have their turn.
    private func receive(at bench: Workbench) -> Wish {
        var received = 0
        while true {
            guard let buffer = roomyBuffer(at: bench) else { return refuseForWantOfMemory(at: bench) }
            let room = buffer.room
            let transfer = unsafe buffer.fill { room in
                let transfer = unsafe transport.read(into: room)
                if case .moved(let count) = transfer { return (transfer, filled: count) }
                return (transfer, filled: 0)
            }
            switch transfer {
            case .moved(let count):
                bench.counters.bytesReceived.wrappingAdd(count, ordering: .relaxed)
                received += max(count, Limits.readBytesMin)
                if let wish = answerRequests(in: buffer, at: bench) { return wish }
                // Saves the read that would say "nothing more". TLS hands out a record at a time, so there a short read
                // says nothing, but usually a request is complete and nothing waits behind it.
                if transport.isPlain ? count < room : input == nil && bench.input.isEmpty && !transport.hasPending {
                    return .input
                }
                if received >= Limits.turnBytesMax { return .turn }
            case .wantsRead: return .input
            case .wantsWrite: return .output
            case .closed, .failed: return .close
            }
        }
    }

    /// The buffer that takes the next bytes of this connection, with enough room for them; nil when all connections
    /// together have no memory left for it.
    private func roomyBuffer(at bench: Workbench) -> ByteBuffer? {
        let enough = ByteBuffer.smallestCapacity / 4
        if input == nil {
            if bench.input.room >= enough { return bench.input }
            guard keep(bench.input, at: bench) else { return nil }
        }
        let buffer = input!
        if buffer.room >= enough { return buffer }
        buffer.compact()
        if buffer.room >= enough { return buffer }
        // Grows with what has arrived, never by what Content-Length promises.
        guard keep(buffer, at: bench) else { return nil }
        bench.pool.giveBack(buffer)
        return input!
    }

    /// Moves the bytes of `buffer` to a larger buffer of this connection's own.
    ///
    /// - Returns: false: there is no memory for that, and nothing was moved.
    private func keep(_ buffer: ByteBuffer, at bench: Workbench) -> Bool {
        guard let own = bench.pool.take(buffer.count + ByteBuffer.smallestCapacity / 4) else { return false }
        unsafe buffer.withUnsafeBytes { unsafe own.append($0) }
        buffer.clear()
        input = own
        return true
    }

    /// Gives up a request that is too large for the memory that is left, and says so.
    private func refuseForWantOfMemory(at bench: Workbench) -> Wish {
        bench.counters.memoryRefusals.wrappingAdd(1, ordering: .relaxed)
        bench.input.clear()
        if let input { bench.pool.giveBack(input) }
        input = nil
        // Behind an answer that waits for its reader there is no place for another.
        guard output == nil else { return .close }
        bench.refuse(.outOfMemory)
        ending = .linger
        send(at: bench)
        if isBroken { return .close }
        if output != nil {
            bench.timeouts.start(.request, for: index, at: bench.now)
            return waitForOutput
        }
        return end(at: bench)
    }

    /// Answers all complete requests in `buffer` and sends the answers.
    ///
    /// - Returns: nil when it is time to read on.
    private func answerRequests(in buffer: ByteBuffer, at bench: Workbench) -> Wish? {
        var answered = 0
        while !buffer.isEmpty, ending == .none, output == nil, !isBroken {
            let (used, isComplete) = parseRequest(in: buffer, at: bench)
            if isComplete {
                answered += 1
                hasAnswered = true
                buffer.consume(used)
                parser = RequestParser(bodyBytesMax: bench.limits.bodyBytesMax)
                sentContinue = false
                if bench.output.count >= Limits.collectedBytesMax { send(at: bench) }
            } else {
                buffer.truncate(to: used)
                break
            }
        }
        if ending != .none {
            // What follows a last request is never looked at, but has to be taken from the socket.
            if !buffer.isEmpty { ending = .linger }
            buffer.clear()
        }
        send(at: bench)
        if isBroken { buffer.clear() }
        if buffer.isEmpty, let own = input {
            bench.pool.giveBack(own)
            input = nil
        }
        if isBroken { return .close }
        if output != nil {
            bench.timeouts.start(.request, for: index, at: bench.now)
            return waitForOutput
        }
        if ending != .none { return end(at: bench) }
        if buffer.isEmpty {
            if answered > 0 { bench.timeouts.start(.idle, for: index, at: bench.now) }
        } else if answered > 0 || bench.timeouts.kind(of: index) != .request {
            bench.timeouts.start(.request, for: index, at: bench.now)
        }
        return nil
    }

    /// Parses the request at the front of `buffer`, and answers it when it is complete or refused.
    ///
    /// - Returns: how many bytes the request takes, or how many are still in use while it is not complete.
    private func parseRequest(in buffer: ByteBuffer, at bench: Workbench) -> (used: Int, isComplete: Bool) {
        buffer.withBytes { bytes in
            do throws(Refusal) {
                guard try parser.parse(&bytes) else {
                    if parser.hasHead { considerContinue(bytes.span, at: bench) }
                    return (parser.closeGap(in: &bytes), isComplete: false)
                }
                let closing = !parser.head.keepsAlive || bench.isEnding || bench.isStopping
                bench.respond(to: bytes.span, parser.head, body: parser.body, closing: closing)
                if closing { ending = .close }
                return (parser.position, isComplete: true)
            } catch {
                bench.refuse(error)
                ending = .linger
                return (bytes.count, isComplete: true)
            }
        }
    }

    /// Asks for the body of a request with `Expect: 100-continue` (RFC 9110, section 10.1.1).
    private func considerContinue(_ request: Span<UInt8>, at bench: Workbench) {
        guard parser.head.expectsContinue, !sentContinue else { return }
        sentContinue = true
        if bench.hasHandler(for: request, parser.head) {
            bench.output.append("HTTP/1.1 100 Continue\r\n\r\n")
        } else {
            // Nobody knows whether the client sends the body after this answer, so the connection has to end.
            bench.respond(to: request, parser.head, body: 0..<0, closing: true)
            ending = .linger
        }
    }

    // MARK: Answers

    /// Sends what the workbench has collected, and keeps what the socket does not take.
    private func send(at bench: Workbench) {
        guard !bench.output.isEmpty else { return }
        if ending != .none { transport.holdBack() }
        let sent = unsafe bench.output.withUnsafeBytes { unsafe write($0, at: bench) }
        if sent < bench.output.count {
            if let rest = bench.pool.take(bench.output.count - sent) {
                unsafe bench.output.withUnsafeBytes { bytes in
                    unsafe rest.append(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
                }
                output = rest
                transport.limitReceiveBuffer()
            } else {
                // A client that does not take its answers, while there is no memory to keep them in.
                bench.counters.memoryRefusals.wrappingAdd(1, ordering: .relaxed)
                isBroken = true
            }
        }
        bench.output.empty()
    }

    /// Goes on with what an earlier turn could not send.
    ///
    /// - Returns: nil when it is time to read on.
    private func sendRest(at bench: Workbench) -> Wish? {
        guard let rest = output else { return nil }
        rest.consume(unsafe rest.withUnsafeBytes { unsafe write($0, at: bench) })
        guard rest.isEmpty else { return waitForOutput }
        bench.pool.giveBack(rest)
        output = nil
        if ending != .none { return end(at: bench) }
        bench.timeouts.start(input == nil ? .idle : .request, for: index, at: bench.now)
        return nil
    }

    /// - Returns: how many bytes were sent.
    private func write(_ bytes: UnsafeRawBufferPointer, at bench: Workbench) -> Int {
        var sent = 0
        while sent < bytes.count {
            switch unsafe transport.write(UnsafeRawBufferPointer(rebasing: bytes[sent...])) {
            case .moved(let count):
                sent += count
                bench.counters.bytesSent.wrappingAdd(count, ordering: .relaxed)
            case .wantsWrite:
                waitForOutput = .output
                return sent
            case .wantsRead:
                waitForOutput = .input
                return sent
            case .closed, .failed:
                waitForOutput = .close
                return sent
            }
        }
        return sent
    }

    // MARK: The end

    private func end(at bench: Workbench) -> Wish {
        guard ending == .linger else { return .close }
        transport.endOutput()
        phase = .lingering
        bench.timeouts.start(.linger, for: index, at: bench.now)
        return drain(at: bench)
    }

    /// Takes and drops what the client still sends, until it ends.
    private func drain(at bench: Workbench) -> Wish {
        bench.input.clear()
        defer { bench.input.clear() }
        var received = 0
        while received < Limits.turnBytesMax {
            let transfer = unsafe bench.input.fill { unsafe (transport.discard(into: $0), filled: 0) }
            switch transfer {
            case .moved(let count): received += count
            case .wantsRead, .wantsWrite: return .input
            case .closed, .failed: return .close
            }
        }
        return .turn
    }
}
