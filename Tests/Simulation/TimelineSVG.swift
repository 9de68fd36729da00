// A timeline as an SVG file: self-contained, on its own background, and the same bytes for the same history.
extension Timeline {
    /// - Parameter title: stands above it.
    package func svg(title: String) -> String {
        var drawing = TimelineDrawing(self)
        return drawing.draw(title: title)
    }
}
