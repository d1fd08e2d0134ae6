import HashTreeCollections
package import MusterSchema

/// A change of one row of the registry.
package struct RegistryChange: Sendable {
  package enum Kind: String, CaseIterable, Sendable {
    case counters, token, member, pending, revocation
  }

  package let kind: Kind
  /// Identifies the row among those of its kind.
  package let key: String
  private let value: (any Encodable & Sendable)?

  static func put(_ kind: Kind, _ key: String, _ value: any Encodable & Sendable) -> RegistryChange {
    RegistryChange(kind: kind, key: key, value: value)
  }

  static func remove(_ kind: Kind, _ key: String) -> RegistryChange { RegistryChange(kind: kind, key: key, value: nil) }

  /// The new content of the row as JSON; `nil` removes the row.
  package var body: [UInt8]? {
    get throws { try value.map { try JSON.encode($0) } }
  }
}

/// A certificate that no longer counts although it has not ended.
package struct RevokedCertificate: Codable, Hashable, Sendable {
  package var node: NodeID
  /// The fingerprint of its key, which no machine can enrol with any more.
  package var key: Digest
  package var at: WallTime
  package var reason: String
  /// When it would have ended. After that it need not be listed.
  package var end: WallTime
}

/// The reason why the registry refuses a request of a machine or an operator.
package enum RegistryRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// The caller may not do this.
  case refused(String)
  /// The request does not fit the state of the fleet.
  case conflict(String)
  case unknown(String)

  package var description: String {
    switch self {
    case .refused(let why), .conflict(let why), .unknown(let why): why
    }
  }
}

extension Registry {
  /// Restores the registry from its rows, in any order.
  ///
  /// - Throws: ``JSON`` errors with the row's name, when a row cannot be decoded.
  package init(reserved: Set<NodeID> = [], restoring rows: some Sequence<(kind: String, key: String, body: [UInt8])>) throws {
    self.init(reserved: reserved)
    for row in rows {
      do {
        switch RegistryChange.Kind(rawValue: row.kind) {
        case .counters: counters = try JSON.decode(Counters.self, from: row.body)
        case .token: restore(try JSON.decode(TokenRecord.self, from: row.body))
        case .member: restore(try JSON.decode(MemberRecord.self, from: row.body))
        case .pending: restore(try JSON.decode(PendingRecord.self, from: row.body))
        case .revocation:
          guard let serial = SerialNumber(row.key) else {
            throw AuthorityError.malformed("\"\(row.key.shown(60))\" is not a serial number")
          }
          restore(try JSON.decode(RevokedCertificate.self, from: row.body), serial)
        // Written by a newer version, which this one cannot continue.
        case nil: throw AuthorityError.malformed("this version does not know rows of this kind")
        }
      } catch {
        throw AuthorityError.malformed(
          "the row \(row.kind.shown(40)) \(row.key.shown(80)) of the registry cannot be read: \(JSON.explain(error, in: row.body))")
      }
    }
  }
}
