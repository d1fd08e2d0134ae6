import ArgumentParser
import MusterSchema

/// `muster node pending`
struct NodePending: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pending", abstract: "List the machines that wait to be accepted, with the fingerprint of the key that each shows.")

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    let pending: [PendingSummary] = try await server.client().get("/v1/enrolments")
    try Console.show(pending, as: format.output)
    if pending.isEmpty, format.output == .table { Console.note("no machine waits") }
  }
}

/// The machine that waits, by its id or by the beginning of its key's fingerprint.
struct PendingArgument: ParsableArguments {
  @Argument(help: "The machine's id or key, as muster node pending shows them. Two machines can ask for one id; then give the key.")
  var machine: String

  func find(_ client: OpsClient) async throws(CommandError) -> PendingSummary {
    let all: [PendingSummary] = try await client.get("/v1/enrolments")
    let found = all.filter { pending in
      pending.node.rawValue == machine
        || (machine.count >= 8 && ("\(pending.key)".hasPrefix(machine) || pending.key.hexadecimal.hasPrefix(machine)))
    }
    guard let first = found.first else {
      throw CommandError(.refused, "no machine \"\(machine.shown(80))\" waits; see muster node pending")
    }
    guard found.count == 1 else {
      throw CommandError(.usage, "\(found.count) machines ask for \(first.node): give the key of one, which the machine itself shows too")
    }
    return first
  }
}

/// `muster node accept MACHINE`
struct NodeAccept: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "accept",
    abstract: "Let a machine that waits become a member. If its id belongs to another key, that key's certificate is revoked.")

  @OptionGroup var machine: PendingArgument
  @OptionGroup var server: CentralOptions

  func run() async throws {
    let client = try server.client()
    let pending = try await machine.find(client)
    try await client.post("/v1/enrolments/\(pending.key.hexadecimal)/accept", [String: String]())
    Console.note("\(pending.node) was accepted, with the key \(pending.key)")
  }
}

/// `muster node reject MACHINE`
struct NodeReject: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "reject", abstract: "Refuse a machine that waits.")

  @OptionGroup var machine: PendingArgument
  @OptionGroup var server: CentralOptions

  func run() async throws {
    let client = try server.client()
    let pending = try await machine.find(client)
    try await client.post("/v1/enrolments/\(pending.key.hexadecimal)/reject", [String: String]())
    Console.note("\(pending.node) was rejected, with the key \(pending.key)")
  }
}

/// `muster node revoke NODE --reason …`
struct NodeRevoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke",
    abstract: "Take a member's certificate away for good: central refuses it at once. Its region's broker needs broker-config and a reload."
  )

  @Argument(help: "The member's id.", transform: identifier)
  var node: NodeID
  @Option(help: "Why, in a few words. The device is told, too.")
  var reason: String

  @OptionGroup var server: CentralOptions

  func run() async throws {
    try await server.client().post("/v1/members/\(node)/revoke", ["reason": reason])
    Console.note("\(node) was revoked: \(reason)")
  }
}

/// `muster node move NODE REGION`
struct NodeMove: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "move", abstract: "Move a device to another region.")

  @Argument(help: "The device's id.", transform: identifier)
  var node: NodeID
  @Argument(help: "The region.", transform: identifier)
  var region: NodeID

  @OptionGroup var server: CentralOptions

  func run() async throws {
    try await server.client().post("/v1/members/\(node)/move", ["region": region])
    Console.note("\(node) belongs to \(region) now")
  }
}

/// `muster node label NODE NAME=VALUE …`
struct NodeLabel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "label", abstract: "Set labels of a device. A name without a value removes the label.")

  @Argument(help: "The device's id.", transform: identifier)
  var node: NodeID
  @Argument(help: ArgumentHelp("The labels.", valueName: "name=value"))
  var labels: [String]

  @OptionGroup var server: CentralOptions

  func run() async throws {
    var values: [String: String?] = [:]
    for (name, value) in try labelValues(labels) { values.updateValue(value, forKey: name) }
    try await server.client().post("/v1/members/\(node)/label", ["labels": values])
    Console.note("the labels of \(node) were changed")
  }
}

/// `muster node certificates`
struct NodeCertificates: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "certificates", abstract: "List the certificates of all members: serial number and days left.")

  @Option(help: "List only certificates that end within this many days.")
  var expiring: Double?

  @OptionGroup var server: CentralOptions
  @OptionGroup var format: OutputOptions

  func run() async throws {
    var members: [MemberSummary] = try await server.client().get("/v1/members")
    if let expiring { members = members.filter { $0.revoked == nil && ($0.daysLeft ?? .infinity) <= expiring } }
    try Console.show(members, as: format.output)
    if members.isEmpty, format.output == .table { Console.note(expiring == nil ? "there is no member yet" : "no certificate ends by then") }
  }
}

extension MemberSummary {
  /// Days until the certificate ends, by this machine's clock.
  var daysLeft: Double? { ends.map { Double($0.milliseconds - WallTime.now.milliseconds) / 86_400_000 } }
}

extension MemberSummary: Tabular {
  static var columns: [Table.Column] { ["NODE", "KIND", "REGION", "SERIAL", .number("DAYS LEFT"), "REVOKED"] }

  var row: [String] {
    let days = daysLeft.map { $0 > 3650 ? "over 3650" : "\(Int($0.rounded(.down)))" }
    return [
      node.rawValue, nodeKind.rawValue, region?.rawValue ?? "-", serial ?? "-", days ?? "-",
      revoked.map { "\($0.words): \((reason ?? "").withoutEscapes)" } ?? "-",
    ]
  }
}

extension PendingSummary: Tabular {
  static var columns: [Table.Column] { ["NODE", "KIND", "REGION", "SINCE", "KEY", "WAITS BECAUSE"] }

  var row: [String] { [node.rawValue, nodeKind.rawValue, region?.rawValue ?? "-", since.words, "\(key)", reason] }
}
