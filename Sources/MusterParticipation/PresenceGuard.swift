/// Decides how a program reacts to a message on its own state topic.
///
/// A broker can deliver a Will late, and two programs can be configured with the same identity. Each connection therefore draws a random
/// session, which shows that a message belongs to another connection.
package struct PresenceGuard: Sendable {
  package enum Action: Hashable, Sendable {
    case none
    /// The Will of an older connection arrived after our birth: publish the birth again.
    case publishBirth
    /// Another program is online under our identity.
    case duplicate
  }

  private let session: String
  private var lastSession: String?

  /// - Parameter previous: the session of our own previous connection, whose retained birth does not belong to another program.
  package init(session: String, previous: String?) {
    self.session = session
    lastSession = previous
  }

  package func action(online: Bool, session other: String, retained: Bool) -> Action {
    if other == session { return online ? .none : .publishBirth }
    if !online { return .publishBirth }
    // A retained birth may come from our own process before it died; our birth replaces it. A live one comes from another program.
    return other == lastSession || retained ? .none : .duplicate
  }
}
