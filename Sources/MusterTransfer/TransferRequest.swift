/// One HTTP exchange as the curl thread carries it out.
struct TransferRequest: Sendable {
  enum Body: Sendable {
    case none
    case bytes([UInt8])
    /// So many bytes of a file, from there on.
    case file(UploadReader, from: Int64, count: Int64)

    var count: Int64? {
      switch self {
      case .none: nil
      case .bytes(let bytes): Int64(bytes.count)
      case .file(_, _, let count): count
      }
    }
  }

  /// Where the body of a successful answer goes. Error bodies always go to memory.
  enum Sink: Sendable {
    case memory(maximum: Int)
    case file(DownloadWriter)
    /// Piece by piece, on the client's thread; false ends the transfer.
    case stream(@Sendable (UnsafeRawBufferPointer) -> Bool)
  }

  var method: String
  var url: String
  var headers: [(String, String)] = []
  var body: Body = .none
  var sink: Sink
  /// Whether libcurl may send the body once more by itself, when a connection that it had kept breaks. A part of an upload is not sent again
  /// before the server was asked what it has.
  var repeats = true
  var progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)?
}

/// The largest error body that is kept.
let maximumErrorBody = 64 << 10
