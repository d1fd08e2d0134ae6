import CCurl
import Glibc
import MusterGround
import MusterSchema

/// One transfer in flight. It lives on the curl thread, and libcurl holds an unretained pointer to it for the callbacks.
final class CurlTransfer {
  let id: UInt64
  let handle: UnsafeMutableRawPointer
  let finish: @Sendable (Result<HTTPResponse, TransferError>) -> Void
  private let request: TransferRequest
  private var fields: UnsafeMutablePointer<curl_slist>?
  private let errors = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
  private var status = 0
  private var headers: [(name: String, value: String)] = []
  private var body: [UInt8] = []
  private var position: Int64 = 0
  private var failure: TransferError?
  private var isReleased = false
  /// Whether the status and headers of a download's answer were checked against the request.
  private var isAccepted = false

  init(
    _ id: UInt64, _ request: TransferRequest, _ handle: UnsafeMutableRawPointer,
    _ finish: @escaping @Sendable (Result<HTTPResponse, TransferError>) -> Void
  ) {
    self.id = id
    self.request = request
    self.handle = handle
    self.finish = finish
    errors.pointee = 0
  }

  /// Frees the memory that libcurl uses. Call it after the handle was removed from the multi handle.
  func release() {
    guard !isReleased else { return }
    isReleased = true
    curl_slist_free_all(fields)
    errors.deallocate()
  }

  // MARK: Set-up

  func configure(_ configuration: HTTPConfiguration) throws(TransferError) {
    for (name, value) in request.headers + [("Expect", "")] {
      guard !(name + value).utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
        throw .io("the header \(name.withoutControlCharacters) contains a control character")
      }
      fields = curl_slist_append(fields, value.isEmpty ? "\(name):" : "\(name): \(value)")
    }
    let context = Unmanaged.passUnretained(self).toOpaque()
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    set(CURLOPT_CONNECTTIMEOUT_MS, Int(configuration.connectSeconds * 1000))
    set(CURLOPT_LOW_SPEED_LIMIT, 1)
    set(CURLOPT_LOW_SPEED_TIME, configuration.stallSeconds)
    set(CURLOPT_TCP_NODELAY, 1)
    set(CURLOPT_BUFFERSIZE, 256 << 10)
    set(CURLOPT_USERAGENT, "muster/\(Muster.version)")
    // A fleet's transfers go to the addresses that its own programs name, as its MQTT does. A proxy from the environment is meant for the
    // outside and would be in the way, or see tickets. An empty string keeps libcurl from reading http_proxy, HTTPS_PROXY and ALL_PROXY.
    set(CURLOPT_PROXY, "")
    if let tls = configuration.tls { use(tls) }
    muster_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errors)
    muster_curl_set_pointer(handle, CURLOPT_HTTPHEADER, fields)
    muster_curl_set_data(handle, CURLOPT_WRITEFUNCTION, receiveBody)
    muster_curl_set_pointer(handle, CURLOPT_WRITEDATA, context)
    muster_curl_set_data(handle, CURLOPT_HEADERFUNCTION, receiveHeader)
    muster_curl_set_pointer(handle, CURLOPT_HEADERDATA, context)
    if let count = bodyCount {
      set(CURLOPT_UPLOAD, 1)
      set(CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
      muster_curl_set_offset(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(count))
      muster_curl_set_data(handle, CURLOPT_READFUNCTION, sendBody)
      muster_curl_set_pointer(handle, CURLOPT_READDATA, context)
      muster_curl_set_seek(handle, seekBody)
      muster_curl_set_pointer(handle, CURLOPT_SEEKDATA, context)
    } else if request.method == "HEAD" {
      set(CURLOPT_NOBODY, 1)
    }
    if request.method != "HEAD" { set(CURLOPT_CUSTOMREQUEST, request.method) }
    let code = request.url.withCString { muster_curl_set_text(handle, CURLOPT_URL, $0) }
    guard code == CURLE_OK else { throw .io("the address \(shown(request.url)) is not valid") }
  }

  private func use(_ tls: ClientTLS) {
    // Addresses come from messages. None of them may lead a ticket or an update around TLS.
    set(CURLOPT_PROTOCOLS_STR, "https")
    set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    switch tls.trust {
    case .authority(let file):
      set(CURLOPT_CAINFO, file)
      // libcurl keeps the authorities for a day, and would not see that the file was replaced.
      set(CURLOPT_CA_CACHE_TIMEOUT, 0)
    case .unverified:
      set(CURLOPT_SSL_VERIFYPEER, 0)
      set(CURLOPT_SSL_VERIFYHOST, 0)
    }
    if let file = tls.certificateFile { set(CURLOPT_SSLCERT, file) }
    if let file = tls.keyFile { set(CURLOPT_SSLKEY, file) }
  }

  /// The length of the body. A PUT, POST or PATCH without a body still sends `Content-Length: 0`.
  private var bodyCount: Int64? { request.body.count ?? (["PUT", "POST", "PATCH"].contains(request.method) ? 0 : nil) }

  private func set(_ option: CURLoption, _ value: Int) { muster_curl_set_long(handle, option, value) }
  private func set(_ option: CURLoption, _ value: String) { muster_curl_set_text(handle, option, value) }

  // MARK: Callbacks

  func received(header line: UnsafeRawBufferPointer) {
    let text = String(decoding: line, as: UTF8.self)
    if text.hasPrefix("HTTP/") {
      headers = []
      status = text.split(separator: " ").dropFirst().first.flatMap { Bounds.status.read($0) } ?? 0
    } else if let colon = text.firstIndex(of: ":"), headers.count < 200 {
      headers.append((text[..<colon].lowercased(), text[text.index(after: colon)...].trimmed))
    }
  }

  /// - Returns: false to abort the transfer.
  func received(body bytes: UnsafeRawBufferPointer) -> Bool {
    guard failure == nil else { return false }
    if status < 300, case .file(let writer) = request.sink {
      if !isAccepted {
        isAccepted = true
        guard accept(writer) else { return false }
      }
      guard writer.write(bytes) else {
        failure = writer.failure
        return false
      }
      return true
    }
    if status < 300, case .stream(let use) = request.sink {
      if !use(bytes) { failure = .tooLarge(maximumBytes: EventParser.mostBytes) }
      return failure == nil
    }
    if status >= 300 {
      // Only the beginning of a long error body is kept.
      body.append(contentsOf: bytes.prefix(maximumErrorBody - body.count))
      return true
    }
    guard case .memory(let maximum) = request.sink, body.count + bytes.count <= maximum else {
      if case .memory(let maximum) = request.sink { failure = .tooLarge(maximumBytes: maximum) }
      return false
    }
    body.append(contentsOf: bytes)
    return true
  }

  /// Prepares the file for the answer, which either continues the partial file or replaces it.
  ///
  /// - Returns: false when the answer has the wrong range or is too large.
  private func accept(_ writer: DownloadWriter) -> Bool {
    let offset = writer.offset
    if status == 206 {
      let range = headers.first { $0.name == "content-range" }?.value ?? ""
      guard range.hasPrefix("bytes \(offset)-") else {
        failure = .io(
          "the server answered with the range \"\(range.withoutControlCharacters)\", but bytes from \(offset) on were requested")
        writer.discard()
        return false
      }
    } else if offset > 0 {
      writer.restart()
    }
    if let text = headers.first(where: { $0.name == "content-length" })?.value,
      case let length = Bounds.bytes.read(text).map(Int64.init) ?? .max,
      length > Int64(writer.maximum) - writer.offset
    {
      failure = .tooLarge(maximumBytes: writer.maximum)
      return false
    }
    return true
  }

  func send(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count: Int
    switch request.body {
    case .none: return 0
    case .bytes(let bytes):
      count = min(buffer.count, bytes.count - Int(position))
      bytes.withUnsafeBytes { buffer.copyBytes(from: $0[Int(position)..<(Int(position) + count)]) }
    case .file(let reader, let start, let whole):
      let rest = min(Int64(buffer.count), whole - position)
      count = reader.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(rest)]), at: start + position)
      guard count >= 0 else {
        failure = .file(FileError(.read, reader.file, errno))
        return Int(CURL_READFUNC_ABORT)
      }
      guard count > 0 || position == whole else {
        failure = .io("the file to upload became shorter while it was sent")
        return Int(CURL_READFUNC_ABORT)
      }
    }
    position += Int64(count)
    if let total = bodyCount { request.progress?(position, total) }
    return count
  }

  /// Rewinds the body. libcurl does so when a reused connection turns out to be dead.
  ///
  /// - Returns: false when the body may not be sent again, which fails the transfer.
  func seek(to offset: Int64) -> Bool {
    guard request.repeats || position == 0 else { return false }
    position = offset
    return true
  }

  // MARK: Outcome

  func outcome(_ code: CURLcode) -> Result<HTTPResponse, TransferError> {
    if let failure { return .failure(failure) }
    let response = HTTPResponse(status: status, headers: headers, body: body)
    // A server may answer with an error and close the connection before it has read the whole body. Its answer is valid all the same.
    if let failure = response.failure, code == CURLE_OK || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR {
      return .failure(failure)
    }
    let text = errors.pointee == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: errors)
    switch code {
    case CURLE_OK: return .success(response)
    case CURLE_SEND_FAIL_REWIND: return .failure(.unreachable(host: host(of: request.url), why: "the connection was lost"))
    case CURLE_OPERATION_TIMEDOUT:
      // The time is zero until name resolution, connection and TLS are done, so zero means that the server was never reached.
      var began: curl_off_t = 0
      muster_curl_get_offset(handle, CURLINFO_PRETRANSFER_TIME_T, &began)
      return .failure(began == 0 ? .unreachable(host: host(of: request.url), why: text) : .timedOut(host: host(of: request.url)))
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT:
      return .failure(.io("the address \(shown(request.url)) is not valid: \(text)"))
    default: return .failure(.unreachable(host: host(of: request.url), why: text))
    }
  }
}

private let receiveBody: muster_curl_data = { bytes, size, count, context in
  guard let bytes, let context else { return 0 }
  let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
  return transfer.received(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private let receiveHeader: muster_curl_data = { bytes, size, count, context in
  guard let bytes, let context else { return 0 }
  Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().received(
    header: UnsafeRawBufferPointer(start: bytes, count: size * count))
  return size * count
}

private let sendBody: muster_curl_data = { bytes, size, count, context in
  guard let bytes, let context else { return Int(CURL_READFUNC_ABORT) }
  return Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().send(
    into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}

private let seekBody: muster_curl_seek = { context, offset, origin in
  guard let context, origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
  return Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue().seek(to: Int64(offset))
    ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL
}

/// The `host:port` of an address, for messages.
func host(of url: String) -> String {
  let rest = url.range(after: "://")
  return String(rest.prefix { $0 != "/" && $0 != "?" })
}

private func shown(_ url: String) -> String { "\"\(String(url.prefix(120)).withoutControlCharacters)\"" }

extension String {
  fileprivate func range(after mark: String) -> Substring {
    var rest = self[...]
    while !rest.isEmpty {
      if rest.hasPrefix(mark) { return rest.dropFirst(mark.count) }
      rest = rest.dropFirst()
    }
    return self[...]
  }
}

extension Substring {
  fileprivate var trimmed: String {
    var text = self
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }
}
