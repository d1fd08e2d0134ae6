import MusterGround
package import MusterIdentity
package import MusterSchema
package import MusterTransfer

/// The reason why a machine did not become a member.
package enum EnrolmentError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The server at the token's address is not the one that the token names.
  case wrongServer(entry: ServerAddress, found: Digest, expected: Digest)
  case transfer(TransferError)
  case identity(IdentityError)
  /// The answer does not fit the request.
  case answer(String)

  package var description: String {
    switch self {
    case .wrongServer(let entry, let found, let expected):
      "the server at \(entry) has the authority \(found), but the token names \(expected): the token is of another fleet, or something "
        + "between this machine and the server pretends to be it. Nothing was sent"
    case .transfer(let error): "\(error)"
    case .identity(let error): "\(error)"
    case .answer(let what): "the server's answer cannot be used: \(what)"
    }
  }
}

/// Makes a machine a member: the machine's side of `POST /v1/enrolments`.
package struct EnrolmentClient: Sendable {
  private let token: EnrolmentToken
  private let folder: IdentityFolder

  /// - Parameter folder: where the identity will be. The key is made there first, before anything is sent.
  package init(_ token: EnrolmentToken, folder: IdentityFolder) {
    self.token = token
    self.folder = folder
  }

  /// Asks until the machine is a member or is refused, however long an operator takes to accept it. Asking again after an interruption is
  /// safe.
  ///
  /// - Parameters:
  ///   - id: the id that the machine wants; `nil` lets central derive one from the host name.
  ///   - waiting: called when an operator has to accept the machine, and again when the reason changes.
  ///   - troubled: called when the server cannot be reached, or is busy; the request is then repeated.
  package func enrol(
    id: NodeID?, host: String, nodeKind: NodeState.Kind, waiting: @Sendable (PendingEnrolment) -> Void,
    troubled: @Sendable (TransferError) -> Void
  ) async throws -> (identity: Identity, answer: Enrolment) {
    let key = try folder.key()
    let authority = try await fetchAuthority(troubled)
    let authorityFile = "\(folder.path)/entry-authority.pem"
    try Files.replace(authorityFile, with: Array(authority.pem.utf8), durable: false)
    defer { Files.remove(authorityFile) }
    let client = try HTTPClient(HTTPConfiguration(tls: ClientTLS(trust: .authority(file: authorityFile))))
    let body = try JSON.encode(EnrolmentRequest(request: try key.certificateRequest(), id: id, host: host, nodeKind: nodeKind))
    let code = Base64URL.encode(token.key.authentication(of: body))
    var shown: PendingEnrolment?
    while true {
      let answer = try await patiently(troubled) { () async throws(TransferError) in
        try await client.send(
          "POST", "\(token.entry)/v1/enrolments", body: body, contentType: "application/json",
          headers: [("Authorization", "Muster-Token \(token.id).\(code)")])
      }
      guard answer.status == 202 else { return try accept(answer, authority, key, id) }
      let pending: PendingEnrolment = try answer.decode()
      if pending != shown { waiting(pending) }
      shown = pending
      let seconds = answer["retry-after"].flatMap { Bounds(1...60).read($0) } ?? 5
      try await Task.sleep(for: .seconds(seconds))
    }
  }

  /// The authority of the server at the token's address, if it is the one that the token names. It is the only request whose answer is not
  /// protected by TLS, and the digest in the token protects it instead.
  private func fetchAuthority(_ troubled: @Sendable (TransferError) -> Void) async throws -> AuthorityCertificate {
    let client = try HTTPClient(HTTPConfiguration(maximumBody: 64 << 10, tls: ClientTLS(trust: .unverified)))
    let answer = try await patiently(troubled) { () async throws(TransferError) in
      try await client.send("GET", "\(token.entry)/v1/authority")
    }
    let authority: AuthorityCertificate
    do { authority = try AuthorityCertificate(pem: String(decoding: answer.body, as: UTF8.self)) } catch {
      throw EnrolmentError.answer("\(error)")
    }
    guard authority.digest == token.authority else {
      throw EnrolmentError.wrongServer(entry: token.entry, found: authority.digest, expected: token.authority)
    }
    return authority
  }

  private func accept(
    _ answer: HTTPResponse, _ authority: AuthorityCertificate, _ key: MemberKey, _ id: NodeID?
  ) throws -> (identity: Identity, answer: Enrolment) {
    let enrolment: Enrolment = try answer.decode()
    let identity = try Identity(authority: authority, trust: enrolment.trust, member: enrolment.member)
    guard identity.member.key == key.fingerprint else { throw EnrolmentError.answer("its statement is about another key") }
    if let id, identity.member.node != id {
      throw EnrolmentError.answer("this machine's key is that of \(identity.member.node), not of \(id)")
    }
    return (identity, enrolment)
  }

  /// Repeats a request that may succeed later: six times, in about half a minute.
  private func patiently(
    _ troubled: @Sendable (TransferError) -> Void, _ request: () async throws(TransferError) -> HTTPResponse
  ) async throws -> HTTPResponse {
    var pauses = [0.5, 1, 2, 4, 8, 16].makeIterator()
    while true {
      do throws(TransferError) {
        return try await request()
      } catch {
        if error == .cancelled { throw CancellationError() }
        guard error.isTransient, let pause = pauses.next() else { throw EnrolmentError.transfer(error) }
        troubled(error)
        try await Task.sleep(for: .seconds(pause * Double.random(in: 0.5...1)))
      }
    }
  }
}
