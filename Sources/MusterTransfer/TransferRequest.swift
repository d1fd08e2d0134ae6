/// One HTTP exchange as the curl thread carries it out.
struct TransferRequest: Sendable {
  enum Body: Sendable {
    case none
    case bytes([UInt8])
    /// The part of a file that begins at `from` and has `count` bytes.
    case file(UploadReader, from: Int64, count: Int64)

    var count: Int64? {
      switch self {
      case .none: nil
      case .bytes(let bytes): Int64(bytes.count)
      case .file(_, _, let count): count
      }
    }
  }

  /// The destination of a successful answer's body. Error bodies always go to memory.
  enum Sink: Sendable {
    case memory(maximum: Int)
    case file(DownloadWriter)
    /// Receives each piece on the client's thread. Returning false ends the transfer.
    case stream(@Sendable (UnsafeRawBufferPointer) -> Bool)
  }

  var method: String
  var url: String
  var headers: [(String, String)] = []
  var body: Body = .none
  var sink: Sink
  /// Whether libcurl may send the body again by itself when a reused connection breaks. A part of an upload must not be sent again before
  /// the server was asked which bytes it has.
  var repeats = true
  var progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)?
}

/// The largest error body that is kept, in bytes.
let maximumErrorBody = 64 << 10
