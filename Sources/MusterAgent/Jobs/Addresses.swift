import MusterSchema

/// Scheme, host and port of an HTTP address.
struct ServerAddress: Hashable {
  /// In lowercase; an IPv6 address keeps its brackets.
  let host: String
  let port: Int
  /// Everything behind host and port, from its `/`.
  let path: String

  var hostAndPort: String { "\(host):\(port)" }

  /// Nil for what is not plain `http(s)://host[:port][/path]`: credentials in an address are refused.
  init?(_ address: String) {
    let standardPort: Int
    var rest = address[...]
    if rest.hasPrefix("http://") {
      standardPort = 80
      rest = rest.dropFirst(7)
    } else if rest.hasPrefix("https://") {
      standardPort = 443
      rest = rest.dropFirst(8)
    } else {
      return nil
    }
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    path = String(rest[authority.endIndex...])
    guard !authority.isEmpty, authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), !authority.contains("@"), !authority.contains("\\")
    else { return nil }
    let colon = authority.lastIndex(of: ":").flatMap { authority[$0...].contains("]") ? nil : $0 }
    if let colon {
      guard let number = Int(authority[authority.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
      port = number
    } else {
      port = standardPort
    }
    host = authority[..<(colon ?? authority.endIndex)].lowercased()
    guard !host.isEmpty else { return nil }
  }
}

/// Where a contribution goes, and so where its ledger can be asked: `…/v1/tasks/{t}/rounds/{n}/updates/{path}` without the path.
struct LedgerAddress: Hashable {
  /// The phase's ledger.
  let ledger: String
  /// This node, as the ledger knows it.
  let path: NodePath

  /// Nil when the invitation's upload address is not that of its own task, round and phase.
  init?(_ invitation: Invitation) {
    guard let server = ServerAddress(invitation.upload) else { return nil }
    let collection = invitation.phase == .train ? "updates" : "evaluations"
    let prefix = "/v1/tasks/\(invitation.task)/rounds/\(invitation.round)/\(collection)"
    // A proxy may put something in front.
    guard let range = server.path.firstRange(of: "\(prefix)/"), !server.path[range.upperBound...].contains("/v1/") else { return nil }
    do {
      path = try NodePath(validating: String(server.path[range.upperBound...]))
    } catch {
      return nil
    }
    ledger = String(invitation.upload.dropLast(path.description.count + 1))
  }
}
