import HTTPTypes
import Hummingbird
import MusterCoordination
import MusterGround
import MusterSchema
import MusterServer
import MusterStorage

/// Uploads that can be continued after an interruption: draft-ietf-httpbis-resumable-upload-12.
///
/// An upload's address is that of the contribution with `?digest=…`. So the sender knows it in advance, and a partial upload of other bytes
/// is another upload. There are two deviations from the draft, because a 201 promises a decision: a first part is answered with 202 instead
/// of 201, and a complete upload whose acceptance could not be made durable (503, 507) is kept, and completed by an empty PATCH at its end.
extension ContributionRoutes {
  /// `PUT` with `Upload-Complete`: the whole upload, or its first part.
  func create(
    _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: UploadTerms, _ headers: UploadFields
  ) async throws -> Response {
    guard headers.offset ?? 0 == 0 else { throw Problem.badRequest("a PUT must begin at offset 0: use PATCH to continue an upload") }
    guard let digest = headers.digest else {
      throw Problem.badRequest("Repr-Digest is missing: send sha-256=:…: of the whole update, which identifies the upload later")
    }
    let isWhole = headers.complete == true
    let content = try request.contentLength
    let length = headers.length ?? (isWhole ? content : nil)
    if let length, length > terms.maximumBytes { throw tooLarge(terms) }
    if isWhole, let length, let content, length != content { throw Self.inconsistent }
    let identity = PartialUploads.Identity(name: "\(key)", owner: "\(key.path)", digest: digest, length: length)
    let (state, expecting) = (state, content ?? 0)
    let file = try await offload { () throws(StorageError) in
      try state.partials.begin(identity, expecting: expecting, maximumBytes: terms.maximumBytes)
    }
    let status = PartialUploads.Status(identity: identity, offset: 0, isStored: false)
    let fields = status.headers(maximumBytes: terms.maximumBytes, limits: state.partials.limits)
    // Status 104, Upload Resumption Supported, for clients that send everything at once and may have to continue later.
    try await context.say(
      HTTPTypes.HTTPResponse(
        status: .init(code: 104, reasonPhrase: "Upload Resumption Supported"),
        headerFields: [.location: identity.location, .uploadLimit: fields[.uploadLimit] ?? ""]))
    return try await fill(file, request, context, key, terms, identity, isLast: isWhole)
  }

  /// `PATCH`: the next or the last part.
  func append(_ request: Request, _ context: RouteContext) async throws -> Response {
    let key = try key(request, context)
    let headers = try UploadFields(request)
    guard request.headers[.contentType] == "application/partial-upload" else {
      throw Problem(.wrongMediaType, "a part must be sent as application/partial-upload")
    }
    guard let complete = headers.complete, let offset = headers.offset, let digest = headers.digest else {
      throw Problem.badRequest("a part needs Upload-Complete, Upload-Offset and the upload's address with ?digest=, or Repr-Digest")
    }
    let terms: UploadTerms
    switch try await admit(key, request) {
    case .accepted(let digest): return try await repeated(request, context, headers, digest)
    case .open(let open): terms = open
    }
    let announced = try announced(request, terms, from: offset)
    try gate.enter(announced)
    defer { gate.leave(announced) }
    let (state, name) = (state, "\(key)")
    let (status, file) = try await offload { () throws(StorageError) in
      try state.partials.resume(name, digest, at: offset, expecting: announced, maximumBytes: terms.maximumBytes)
    }
    guard let status, status.offset == offset else {
      return try UploadProblem.mismatch(expected: status?.offset ?? 0, provided: offset)
    }
    if status.isStored {
      guard complete, try request.contentLength ?? 0 == 0 else { throw Problem.badRequest("the server already has all \(offset) bytes") }
      return try await finish(key, terms, digest)
    }
    guard let file else { throw Problem(StorageError.superseded) }
    return try await fill(file, request, context, key, terms, status.identity, isLast: complete)
  }

  /// `HEAD`: the offset of the upload, or whether the contribution already counts.
  func head(_ request: Request, _ context: RouteContext, _ phase: Phase) async throws -> Response {
    let key = try key(request, context)
    let headers = try UploadFields(request)
    switch try await admit(key, request) {
    case .accepted(let digest):
      guard headers.digest ?? digest == digest else { throw Problem.conflict }
      var fields: HTTPFields = [.uploadComplete: "?1", .reprDigest: digest.contentDigest, .cacheControl: "no-store"]
      if let bytes = state.size(of: digest) {
        fields[.uploadOffset] = "\(bytes)"
        fields[.uploadLength] = "\(bytes)"
      }
      return Response(status: .ok, headers: fields)
    case .open(let terms):
      let limits = state.partials.limits
      guard let status = state.partials.status("\(key)", headers.digest) else {
        // An upload that has not begun, for clients that only ask where to continue.
        let fields: HTTPFields = [
          .uploadOffset: "0", .uploadComplete: "?0", .uploadLimit: "max-size=\(terms.maximumBytes), max-age=\(limits.ageSeconds)",
          .cacheControl: "no-store",
        ]
        return Response(status: .noContent, headers: fields)
      }
      return Response(status: .noContent, headers: status.headers(maximumBytes: terms.maximumBytes, limits: limits))
    }
  }

  /// `DELETE`: the sender gives the upload up.
  func cancel(_ request: Request, _ context: RouteContext) async throws -> Response {
    let key = try key(request, context)
    let headers = try UploadFields(request)
    _ = try await admit(key, request)
    guard state.partials.status("\(key)", headers.digest) != nil else { throw Problem.notFound("there is no such upload") }
    state.partials.discard("\(key)")
    return Response(status: .noContent)
  }

  /// `OPTIONS`: announces that uploads can be resumed.
  var options: Response {
    Response(
      status: .noContent,
      headers: [.acceptPatch: "application/partial-upload", .uploadLimit: "max-age=\(state.partials.limits.ageSeconds)"])
  }

  // MARK: -

  /// Receives a part. The last part completes the contribution.
  private func fill(
    _ file: StagedFile, _ request: Request, _ context: RouteContext, _ key: ContributionKey, _ terms: UploadTerms,
    _ identity: PartialUploads.Identity, isLast: Bool
  ) async throws -> Response {
    let name = identity.name
    defer { state.partials.release(file, of: name) }
    // The received bytes are kept, whatever fails here.
    do {
      try await receive(request, context, into: file)
    } catch StorageError.tooLarge {
      if identity.length != nil { throw Self.inconsistent }
      throw tooLarge(terms)
    }
    guard isLast else {
      let upload = PartialUploads.Status(identity: identity, offset: file.count, isStored: false)
      let status: HTTPTypes.HTTPResponse.Status = request.method == .put ? .accepted : .noContent
      return Response(status: status, headers: upload.headers(maximumBytes: terms.maximumBytes, limits: state.partials.limits))
    }
    if let length = identity.length, file.count != length { throw Self.inconsistent }
    let said = try await checkedAndStored(file, key, terms, identity)
    return try await settle(said.contribution(of: key.path, identity.digest, bytes: file.count), as: key)
  }

  /// Completes an upload whose bytes all arrived with an earlier request.
  private func finish(_ key: ContributionKey, _ terms: UploadTerms, _ digest: Digest) async throws -> Response {
    guard let path = await state.file(of: digest), state.blobs.refresh(digest), let bytes = state.size(of: digest) else {
      state.partials.discard("\(key)")
      return try UploadProblem.mismatch(expected: 0, provided: 0)
    }
    let expected = try await schemas.schema(of: terms.base)
    let said = try await discardingInvalid(key, digest) { try validate(update: path, for: key, terms, expected) }
    return try await settle(said.contribution(of: key.path, digest, bytes: bytes), as: key)
  }

  /// Claims the received bytes, checks them, and makes them durable. Other requests for the same upload must wait in the meantime.
  private func checkedAndStored(
    _ file: StagedFile, _ key: ContributionKey, _ terms: UploadTerms, _ identity: PartialUploads.Identity
  ) async throws -> BodyClaim {
    let expected = try await schemas.schema(of: terms.base)
    let state = state
    return try await discardingInvalid(key, identity.digest) {
      let claim = try state.partials.claim(file, of: identity.name)
      defer { state.partials.release(claim) }
      guard claim.digest == identity.digest else {
        throw Problem(
          .wrongDigest, "the digest of the bytes is \(claim.digest), but \(identity.digest) was announced; send them again from 0")
      }
      let said = try validate(update: claim.path, for: key, terms, expected)
      _ = try state.partials.adopt(claim)
      return said
    }
  }

  /// Checks an update outside of the cooperative threads. Discards an upload whose content is invalid.
  private func discardingInvalid(
    _ key: ContributionKey, _ digest: Digest, _ check: @escaping @Sendable () throws -> BodyClaim
  ) async throws -> BodyClaim {
    do {
      return try await offload { () throws(any Error) in try check() }
    } catch let problem as Problem {
      if problem.status == 422 { state.partials.discard("\(key)", digest) }
      throw problem
    }
  }

  private static let inconsistent = Problem.badRequest("the upload's length differs from the announced one")
}
