/// What a program does about the state that it reads on its own topic.
///
/// Brokers deliver a Will late, and two devices can be set up with one identity: each connection draws a random session, so that what is
/// foreign shows.
package struct PresenceGuard: Sendable {
  package enum Action: Hashable, Sendable {
    case none
    /// An older connection's Will came after our birth: publish the birth again.
    case publishBirth
    /// Somebody else is online under our identity.
    case duplicate
  }

  private let session: String
  private var lastSession: String?

  /// - Parameter previous: the session of our own connection before this one: its retained birth is no stranger's.
  package init(session: String, previous: String?) {
    self.session = session
    lastSession = previous
  }

  package func action(online: Bool, session other: String, retained: Bool) -> Action {
    if other == session { return online ? .none : .publishBirth }
    if !online { return .publishBirth }
    // A retained birth may be that of our own process before it died: ours replaces it. A live one is somebody else's.
    return other == lastSession || retained ? .none : .duplicate
  }
}
