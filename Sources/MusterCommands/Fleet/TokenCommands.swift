import ArgumentParser
import MusterSchema

/// `muster node token …`
struct NodeToken: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make, list and withdraw the tokens with which machines enrol.",
    subcommands: [NodeTokenCreate.self, TokenList.self, TokenRevoke.self])
}

/// `muster region token …`
struct RegionToken: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make, list and withdraw the tokens with which machines enrol.",
    subcommands: [RegionTokenCreate.self, TokenList.self, TokenRevoke.self])
}

/// `muster node token create`
struct NodeTokenCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create",
    abstract: "Make a token for devices. It is printed once: on the device, muster-agent enroll TOKEN makes the device a member.")

  @Option(help: "The region that devices join (default: the one with the fewest devices).", transform: identifier)
  var region: NodeID?
  @Option(help: "The only id that the token gives; an id that is taken then waits to be accepted.", transform: identifier)
  var id: NodeID?
  @Option(name: .customLong("label"), help: ArgumentHelp("A label for the devices; can be repeated.", valueName: "name=value"))
  var labels: [String] = []
  @Option(help: "How many devices may enrol with the token.")
  var uses = 1
  @Option(help: "How many hours the token is valid.")
  var hours = 24.0
  @Flag(help: "Let each device wait until an operator accepts it.")
  var approve = false

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let pairs = try labelValues(labels)
    var set: [String: String] = [:]
    for (name, value) in pairs {
      guard let value else { throw CommandError(.usage, "the label \(name) needs a value: --label \(name)=VALUE") }
      set[name] = value
    }
    let request = TokenRequest(
      nodeKind: .device, region: region, node: id, labels: set.isEmpty ? nil : set, uses: uses, hours: hours, approve: approve)
    try show(try await server.client().post("/v1/tokens", request), format, "muster-agent enroll")
  }
}

/// `muster region token create REGION`
struct RegionTokenCreate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create",
    abstract: "Make a token for a region. It is printed once: on the region's server, muster-region enroll TOKEN makes it a member.")

  @Argument(help: "The region's id.", transform: identifier)
  var region: NodeID
  @Option(
    name: .customLong("name"),
    help: ArgumentHelp(
      "A name or address by which devices reach the region's server; can be repeated. The first is the one that devices are told.",
      valueName: "host"))
  var names: [String]
  @Option(help: "The port of the region's broker.")
  var brokerPort = 8883
  @Option(help: "The port of the region's data listener.")
  var dataPort = 7410
  @Option(help: "How many hours the token is valid.")
  var hours = 24.0

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    var hosts: [Host] = []
    for name in names {
      do { hosts.append(try Host(validating: name)) } catch { throw CommandError(.usage, "--name: \(error)") }
    }
    guard let first = hosts.first else { throw CommandError(.usage, "give at least one --name by which devices reach the region's server") }
    let place = ServerPlace(
      names: hosts.map(\.name), broker: "mqtts://\(HostAndPort(first, port: brokerPort))",
      data: "https://\(HostAndPort(first, port: dataPort))")
    let request = TokenRequest(nodeKind: .region, node: region, uses: 1, hours: hours, server: place)
    try show(try await server.client().post("/v1/tokens", request), format, "muster-region enroll")
  }
}

/// The token alone goes to standard output, so that a script can take it from there.
private func show(_ issued: IssuedToken, _ format: OutputOptions, _ command: String) throws {
  switch format.output {
  case .json: try Console.show(json: issued)
  case .table:
    try Console.print(issued.token)
    Console.note("token \(issued.id), valid until \(issued.expires.words). On the machine: \(command) TOKEN")
  }
}

/// `muster node token list`
struct TokenList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tokens, without their secrets.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let tokens: [TokenSummary] = try await server.client().get("/v1/tokens")
    try Console.show(tokens, as: format.output)
    if tokens.isEmpty, format.output == .table { Console.note("there is no token; make one with muster node token create") }
  }
}

/// `muster node token revoke ID`
struct TokenRevoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Withdraw a token. Machines that enrolled with it stay members.")

  @Argument(help: "The token's id, as muster node token list shows it.")
  var token: String

  @OptionGroup var server: CentralOptions

  func run() async throws {
    let id = token.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x7a) }) ? token : ""
    guard !id.isEmpty else { throw CommandError(.usage, "\"\(token.shown(40))\" is not the id of a token") }
    try await server.client().post("/v1/tokens/\(id)/revoke", [String: String]())
    Console.note("the token \(id) was withdrawn")
  }
}

/// Splits `name=value`. A name without a value stands for the removal of the label.
func labelValues(_ texts: [String]) throws(CommandError) -> [(name: String, value: String?)] {
  var pairs: [(String, String?)] = []
  for text in texts {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let name = parts.first, (1...63).contains(name.utf8.count) else {
      throw CommandError(.usage, "\"\(text.shown(80))\" is not a label: write name=value")
    }
    pairs.append((String(name), parts.count == 2 ? String(parts[1]) : nil))
  }
  return pairs
}

extension TokenSummary: Tabular {
  static var columns: [Table.Column] { ["TOKEN", "FOR", "REGION", "ID", .number("USES LEFT"), "EXPIRES", "WITHDRAWN"] }

  var row: [String] {
    [
      id, nodeKind.rawValue, nodeKind == .device ? region?.rawValue ?? "least loaded" : "-", node?.rawValue ?? "-", "\(usesLeft)",
      expires.words, revoked?.words ?? "-",
    ]
  }
}
