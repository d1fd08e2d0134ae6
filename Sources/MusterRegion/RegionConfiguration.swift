package import MusterIdentity
package import MusterMQTT
import MusterSchema
package import MusterServer

/// The configuration of a region, validated when it is read.
package struct RegionConfiguration: Sendable {
  package var server: ServerConfiguration
  /// Central's broker. It may be the devices' broker too, but the region always has two connections.
  package var centralBroker: MQTTConfiguration
  /// Seconds without progress after which a transfer to or from central is abandoned and tried again.
  package var stallSeconds: Int
  /// `nil` in a plain fleet.
  package var identity: Identity?

  /// Reads the keys `id`, those of ``ServerConfiguration`` (default ports 7410 and 7411), `centralBroker.*` (default: `broker`) and
  /// `stallSeconds` (default 30).
  package init(_ settings: ServerSettings, defaultState: String?) async throws {
    let enrolled = try await Self.identity(settings, defaultState)
    let id: NodeID
    if let enrolled {
      id = enrolled.member.node
      guard try await settings.text("id").map({ $0 == id.rawValue }) ?? true else {
        throw ConfigurationError("id", "must be \(id), as which this machine enrolled: remove the setting")
      }
    } else {
      do {
        id = try NodeID(validating: try await settings.required("id", "the region's id, as central's configuration declares it"))
      } catch let error as IdentifierError {
        throw ConfigurationError("id", error.description)
      }
    }
    guard id != .central else { throw ConfigurationError("id", "must not be \"central\", which is the root coordinator's id") }
    server = try await ServerConfiguration(settings, id: id, state: defaultState, dataPort: 7410, opsPort: 7411)
    identity = enrolled
    if let enrolled {
      centralBroker = try await MQTTConfiguration(
        settings, "centralBroker", clientID: clientID("\(id)-above"), identity: server.identity, at: enrolled.member.broker)
    } else {
      let above = try await settings.text("centralBroker.host") == nil ? "broker" : "centralBroker"
      centralBroker = try await MQTTConfiguration(settings, above, clientID: clientID("\(id)-above"))
    }
    stallSeconds = try await settings.number("stallSeconds", default: 30, in: 5...3600)
  }

  private static func identity(_ settings: ServerSettings, _ defaultState: String?) async throws -> Identity? {
    let state = try await settings.state(default: defaultState)
    guard try ServerIdentity(in: state) != nil else { return nil }
    do { return try ServerIdentity.folder(in: state).identity() } catch { throw ConfigurationError("state", "\(error)") }
  }

  /// The description of the keys for `--help`.
  package static let help =
    ServerConfiguration.help(state: "/var/lib/muster/region", dataPort: 7410, opsPort: 7411) + """
      id                      the region's id, as central's configuration declares it
      centralBroker.host, …   central's broker, with the keys of broker (default: the same broker)
      stallSeconds            seconds without progress after which a transfer to or from central is tried again (default 30)

      """
}
