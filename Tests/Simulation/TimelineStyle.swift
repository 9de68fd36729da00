/// How the parts of a drawn timeline look.
enum TimelineStyle {
    /// Hatches, told apart by direction as well as by colour.
    static let patterns = """
        <pattern id="stopped" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
        <rect width="7" height="7" fill="#eaeef2"/><rect width="3" height="7" fill="#6e7781"/></pattern>
        <pattern id="held" width="6" height="6" patternUnits="userSpaceOnUse">\
        <rect width="6" height="6" fill="#fff8c5"/><rect width="6" height="2" fill="#bf8700"/></pattern>
        <pattern id="suspended" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
        <rect width="7" height="7" fill="#f3e8ff"/><path d="M0 0H7M0 0V7" stroke="#6639ba" stroke-width="3"/></pattern>
        <pattern id="cut" width="8" height="4" patternUnits="userSpaceOnUse">\
        <rect width="8" height="4" fill="#ffebe9"/><rect width="5" height="4" fill="#d1242f"/></pattern>
        """

    static func fill(_ kind: Timeline.Condition.Kind) -> String {
        switch kind {
        case .running: "fill=\"#d0d7de\""
        case .standingBy: "fill=\"#ffffff\" stroke=\"#d0d7de\""
        case .stopped: "fill=\"url(#stopped)\""
        case .heldUp: "fill=\"url(#held)\""
        case .suspended: "fill=\"url(#suspended)\""
        case .cutOff: "fill=\"url(#cut)\""
        }
    }

    /// Swatches of 22 by 14 pixels, and what they mean.
    static let legend: [(swatch: String, label: String)] =
        [("<rect y=\"2\" width=\"22\" height=\"9\" fill=\"#1f6feb\"/>", "admits writes")]
        + conditions.map { kind, label in
            let (top, height) = kind == .cutOff ? (4, 4) : (0, 14)
            return ("<rect y=\"\(top)\" width=\"22\" height=\"\(height)\" \(fill(kind))/>", label)
        }
        + [
            ("<path d=\"M2 0L20 13\" stroke=\"#1f6feb\" stroke-width=\"1.8\"/>", "request"),
            ("<path d=\"M2 13L20 0\" stroke=\"#1f6feb\" stroke-width=\"1.8\" stroke-dasharray=\"5 2\"/>", "answer"),
            ("<path d=\"M6 2L15 11M6 11L15 2\" stroke=\"#b00020\" stroke-width=\"2\"/>", "lost, or too late"),
            ("<rect x=\"10\" width=\"2\" height=\"14\" fill=\"#1f2328\"/>", "lease record written"),
            ("<rect x=\"10\" y=\"5\" width=\"1\" height=\"8\" fill=\"#1f6feb\"/>", "heartbeat written"),
            (
                "<rect width=\"22\" height=\"14\" fill=\"#d1242f\" fill-opacity=\"0.22\" stroke=\"#b00020\"/>",
                "two clusters admit"
            ),
        ]

    private static let conditions: [(Timeline.Condition.Kind, String)] = [
        (.running, "runs"), (.standingBy, "stands by"), (.stopped, "process stopped"),
        (.heldUp, "thread held up"), (.suspended, "machine suspended"), (.cutOff, "cut off from the store"),
    ]

    /// For XML text. What XML cannot hold at all becomes a question mark.
    static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || scalar.value & 0xFFFE == 0xFFFE: escaped += "?"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
