/// What a ``Watch`` sees.
package enum WatchEvent<Object: APIObject>: Sendable {
    /// The whole state, after each list; objects that are not in it are gone.
    case listed([Object])
    /// Added or modified.
    case changed(Object)
    /// Gone; the last state.
    case removed(Object)
    /// The watch does not work right now and is tried again by itself; once for each cause, not for each try.
    case troubled(KubernetesError)
    /// The watch works again after a trouble. A list may have come before.
    case recovered
}
