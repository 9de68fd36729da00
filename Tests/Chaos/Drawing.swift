/// A picture that is drawn from top to bottom, as SVG without scripts, for light and for dark backgrounds.
struct Drawing {
    private let width: Double
    /// Where the next line begins.
    private(set) var height = 14.0
    private var parts: [String] = []

    init(width: Double) {
        self.width = width
    }

    /// The colours of Okabe and Ito, which also those tell apart who see some colours alike.
    private static let style = """
        text { font-family: sans-serif; fill: #222; }
        .page { fill: #fff; } .lane { fill: #eee; } .axis { fill: #999; } .fault { fill: #777; } .dot { fill: #0072b2; }
        .dot { fill-opacity: 0.5; } .c0 { fill: #0072b2; } .c1 { fill: #e69f00; } .c2 { fill: #009e73; } .bad { fill: #d00; }
        .line { fill: none; stroke: #0072b2; stroke-width: 1.3; } .line.bad { fill: none; stroke: #d00; }
        .line.rest { stroke: #999; }
        @media (prefers-color-scheme: dark) {
          text { fill: #ddd; } .page { fill: #181818; } .lane { fill: #2c2c2c; } .fault { fill: #aaa; }
          .c0, .dot { fill: #56b4e9; } .bad { fill: #ff5050; }
          .line { stroke: #56b4e9; } .line.bad { fill: none; stroke: #ff5050; }
        }
        """

    mutating func advance(_ distance: Double) { height += distance }

    mutating func box(
        x: Double, dy: Double = 0, width: Double, height: Double, style: String, title: String? = nil
    ) {
        let place =
            "x=\"\(Self.number(x))\" y=\"\(Self.number(self.height + dy))\" width=\"\(Self.number(width))\" "
            + "height=\"\(Self.number(height))\" class=\"\(style)\""
        parts.append(Self.element("rect", place, title))
    }

    mutating func dot(x: Double, dy: Double, style: String, title: String) {
        let place = "cx=\"\(Self.number(x))\" cy=\"\(Self.number(height + dy))\" r=\"4\" class=\"\(style)\""
        parts.append(Self.element("circle", place, title))
    }

    /// Through points whose `dy` counts from where the next line begins.
    mutating func line(_ points: [(x: Double, dy: Double)], style: String) {
        let places = points.map { "\(Self.number($0.x)),\(Self.number(height + $0.dy))" }.joined(separator: " ")
        parts.append("<polyline points=\"\(places)\" class=\"line \(style)\"/>")
    }

    mutating func text(_ text: String, x: Double, dy: Double = 14, size: Int = 13) {
        parts.append(
            "<text x=\"\(Self.number(x))\" y=\"\(Self.number(height + dy))\" font-size=\"\(size)\">"
                + "\(Self.escaped(text))</text>")
    }

    var svg: String {
        let (width, height) = (Self.number(width), Self.number(height))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)">
            <style>\(Self.style)</style>
            <rect width="\(width)" height="\(height)" class="page"/>
            \(parts.joined(separator: "\n"))
            </svg>

            """
    }

    private static func element(_ name: String, _ attributes: String, _ title: String?) -> String {
        guard let title else { return "<\(name) \(attributes)/>" }
        return "<\(name) \(attributes)><title>\(escaped(title))</title></\(name)>"
    }

    private static func number(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            // What XML has no way to write.
            case _ where scalar.value < 0x20 && scalar != "\n": escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
