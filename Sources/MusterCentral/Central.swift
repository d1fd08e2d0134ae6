import Logging
import MusterCoordination
import MusterMQTT
import MusterSchema
import MusterServer
import MusterStorage
import MusterTransfer

/// Central: the root coordinator's shell with what the ops API and the data plane ask of it.
final class Central: Sendable {
  let configuration: CentralConfiguration
  let shell: Shell<Coordinator>
  let performer: CentralPerformer
  let state: StateFolder
  let link: BrokerLink
  let work: CentralWork
  let logger: Logger
  let client: HTTPClient
  let wishes = ForgetWishes()
  var feed: EventFeed { performer.feed }

  init(
    configuration: CentralConfiguration, shell: Shell<Coordinator>, performer: CentralPerformer, state: StateFolder, link: BrokerLink,
    work: CentralWork, client: HTTPClient, logger: Logger
  ) {
    self.configuration = configuration
    self.shell = shell
    self.performer = performer
    self.state = state
    self.link = link
    self.work = work
    self.client = client
    self.logger = logger
  }

  var readiness: (isReady: Bool, summary: String) { (link.isConnected, "broker: \(link.summary)") }

  func info() -> ServerInfo {
    ServerInfo(
      coordinator: .central, version: Muster.version, broker: "mqtt://\(configuration.broker.address)",
      data: configuration.data.advertise)
  }
}
