/// One HTTP exchange as the curl thread carries it out.
struct TransferRequest: Sendable {
  enum Body: Sendable {
    case none
    case bytes([UInt8])
    case file(UploadReader)

    var count: Int64? {
      switch self {
      case .none: nil
      case .bytes(let bytes): Int64(bytes.count)
      case .file(let reader): reader.size
      }
    }
  }

  /// Where the body of a successful answer goes. Error bodies always go to memory.
  enum Sink: Sendable {
    case memory(maximum: Int)
    case file(DownloadWriter)
  }

  var method: String
  var url: String
  var headers: [(String, String)] = []
  var body: Body = .none
  var sink: Sink
  var progress: (@Sendable (_ sent: Int64, _ total: Int64) -> Void)?
}

/// The largest error body that is kept.
let maximumErrorBody = 64 << 10
