import CMosquitto
import Glibc

/// The reason why a TLS session failed, from the code at the head of OpenSSL's message: `error:0A000086:SSL routines::…`.
///
/// The library passes on only that line. Its words differ between versions of OpenSSL; the code does not.
struct TLSComplaint: Hashable {
  let line: String
  /// OpenSSL's reason code, which is the lower 23 bits of the error code; `nil` for a line that is not OpenSSL's.
  let reason: Int?

  init(_ line: String) {
    self.line = line
    let fields = line.split(separator: ":")
    let code = fields.firstIndex { $0 == "error" || $0.hasSuffix(" error") }.flatMap { fields.dropFirst($0 + 1).first }
    reason = code.flatMap { Int($0, radix: 16) }.map { $0 & 0x7f_ffff }
  }

  /// Whether the other side closed the connection without a TLS alert. It may be shutting down, so this often passes.
  var isPlainEnd: Bool { reason == 294 }

  /// An explanation for the person who configured the client.
  func explained(authority: String) -> String {
    switch reason {
    case 134: "the broker's certificate is not signed by an authority in \(authority)"
    case 267, 156: "the broker does not speak TLS at this port"
    case 1116: "the broker asks for a client certificate, which Muster's programs do not have"
    case 1040: "the broker refused the handshake; it may ask for a client certificate, which Muster's programs do not have"
    case 1048: "the broker does not trust the authority of a client certificate"
    case 1070, 258: "the broker and the client support no common version of TLS"
    default: line
    }
  }
}

extension MosquittoSession {
  /// The reason why the connection or the attempt ended.
  ///
  /// - Parameters:
  ///   - code: the library's return value.
  ///   - reason: the `errno` that belongs to it.
  func failure(_ code: Int32, _ reason: Int32) -> MQTTError {
    if let connack, connack != 0 { return .refused(.init(connack: Int(connack))) }
    if let authorityFile {
      if let complaint, !complaint.isPlainEnd, complaint.reason != nil || code == MOSQ_ERR_TLS.rawValue {
        return .tls(complaint.explained(authority: authorityFile))
      }
      if connack == nil {
        // OpenSSL received an alert right after the handshake, but the library passes on only EPROTO.
        if code == MOSQ_ERR_ERRNO.rawValue, reason == EPROTO {
          return .tls("the broker ended the session at once; it may ask for a client certificate, which Muster's programs do not have")
        }
        return closedEarly
      }
    } else if connack == nil {
      return closedEarly
    }
    return code == MOSQ_ERR_ERRNO.rawValue ? .lost(String(cString: strerror(reason))) : .lost(complaint?.line ?? Self.text(code))
  }

  /// The error when the broker, or another program at its address, closed the connection before it answered.
  var closedEarly: MQTTError {
    authorityFile == nil
      ? .lost("it was closed before the broker answered CONNECT; if the broker expects TLS at this port, set broker.authorityFile")
      : .lost("it was closed during the TLS handshake; check that the broker is running and uses TLS at this port")
  }

  static func text(_ code: Int32) -> String { String(cString: mosquitto_strerror(code)) }

  /// Whether the other side has closed the connection and all bytes that it sent were read. The library treats a connection that is reset
  /// in a TLS handshake as one that goes on, and `poll` then reports it as ready again and again.
  var isClosedByBroker: Bool {
    guard let descriptor else { return false }
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
  }
}
