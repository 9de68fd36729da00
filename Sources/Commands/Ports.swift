private import Glibc
internal import Platform
internal import TLS
internal import Webhook

/// Opens the ports of a process.
struct Ports {
    let log: Log

    /// - Parameter flag: the one that the address comes from.
    func open(
        _ name: String, _ address: SocketAddress, _ flag: String, _ routes: [Route], _ limits: Limits, loops: Int,
        context: (@Sendable () -> ServerContext)?
    ) throws -> Server {
        do {
            return try Server(
                name, at: address, routes: routes, limits: limits, loops: loops, log: log, context: context)
        } catch {
            throw CommandFailure("\(flag) \(address): \(error)")
        }
    }

    /// A port for a few pages, if it is not turned off.
    func openPages(
        _ name: String, _ address: ProcessOptions.SideAddress, _ flag: String, _ routes: [Route]
    ) throws -> Server? {
        guard case .at(let address) = address else { return nil }
        var limits = Limits()
        // Probes and scrapes come a few at a time.
        limits.connectionsMax = 256
        // Probes must get through while clients of the other ports take all that is left to these.
        limits.descriptorsSpared /= 2
        return try open(name, address, flag, routes, limits, loops: 1, context: nil)
    }

    /// Each connection needs a descriptor, and the limit that shells give is often too low (setrlimit(2)).
    ///
    /// - Parameter connectionsMax: of the webhook.
    func raiseDescriptorLimit(connectionsMax: Int) {
        let needed = rlim_t(connectionsMax + Self.otherDescriptors)
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        limit.rlim_cur = min(needed, limit.rlim_max)
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < needed {
            log.warning(
                "The limit of open files, \(limit.rlim_cur), is too low for --max-connections \(connectionsMax); raise it "
                    + "(ulimit -Hn)")
        }
    }

    /// Beside the webhook's connections: those of the other ports, the store's files, loops, standard streams.
    private static let otherDescriptors = 1024
}

extension SocketAddress {
    /// Whether it stands for all addresses of the machine.
    var isAny: Bool { ["", "0.0.0.0", "::"].contains(host) }

    /// How a client on this machine reaches it, by a name that self-made certificates have.
    var reachable: String { isAny ? "localhost:\(port)" : description }
}
