internal import Platform
internal import Webhook

/// The flags of every process that serves: its pages for probes and metrics, and its log.
struct ProcessOptions {
    /// Where a port beside the main one is served, if at all.
    enum SideAddress: Hashable {
        case off
        case at(SocketAddress)
    }

    var healthAddress = SideAddress.at(SocketAddress(host: "", port: 8081))
    var metricsAddress = SideAddress.at(SocketAddress(host: "", port: 8080))
    var logFormat = Log.Format.text
    var logLevel = Log.Level.info

    static func groups<Options>(at path: WritableKeyPath<Options, ProcessOptions>) -> [FlagGroup<Options>] {
        [
            FlagGroup(
                "Probes and metrics",
                [
                    Flag(
                        "health-probe-bind-address", path.appending(path: \.healthAddress), .sideAddress,
                        "Where /healthz and /readyz are served, by HTTP; 0 turns it off."),
                    Flag(
                        "metrics-bind-address", path.appending(path: \.metricsAddress), .sideAddress,
                        "Where /metrics is served, by HTTP; 0 turns it off."),
                ]),
            FlagGroup(
                "Log",
                [
                    Flag(
                        "log-format", path.appending(path: \.logFormat), .choice("FORMAT"),
                        "One line an event on standard error."),
                    Flag("log-level", path.appending(path: \.logLevel), .choice("LEVEL"), "The least that is written."),
                ]),
        ]
    }

    /// - Parameter ports: the flags of the other ports, with what they got.
    /// - Throws: ``UsageError`` when two flags name the same port.
    func check(beside ports: [(String, SocketAddress)]) throws(UsageError) {
        var ports = ports
        for (flag, address) in [
            ("--health-probe-bind-address", healthAddress), ("--metrics-bind-address", metricsAddress),
        ] {
            guard case .at(let address) = address else { continue }
            if address.port != 0, let other = ports.first(where: { $0.1 == address }) {
                throw UsageError("\(flag) got \(address), which \(other.0) has; allowed: another port, or 0 for none")
            }
            ports.append((flag, address))
        }
    }
}

extension ValueType where Value == SocketAddress {
    static var address: ValueType {
        ValueType(
            placeholder: "ADDRESS", allowed: ":PORT for all addresses, IP:PORT or [IPv6]:PORT", range: nil,
            parse: { try? SocketAddress($0) }, format: { $0.description })
    }
}

extension ValueType where Value == ProcessOptions.SideAddress {
    static var sideAddress: ValueType {
        ValueType(
            placeholder: "ADDRESS", allowed: ":PORT for all addresses, IP:PORT or [IPv6]:PORT, or 0 for none",
            range: nil,
            parse: { text in text == "0" ? .off : (try? SocketAddress(text)).map { .at($0) } },
            format: { address in
                switch address {
                case .off: "0"
                case .at(let address): address.description
                }
            })
    }
}
