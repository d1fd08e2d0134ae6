import MusterSchema
import MusterServer

extension Problem {
  static let conflict = Problem(.alreadyCounted, "yours already counts")
  static func wrongDigest(_ digest: Digest, _ declared: Digest) -> Problem {
    Problem(.wrongDigest, "the body is \(digest), its Content-Digest says \(declared)")
  }
  static func closed(_ reason: String) -> Problem { Problem(.phaseClosed, reason) }
  static func unknown(_ key: ContributionKey) -> Problem { .notFound("this server has no phase that takes \(key)") }
}
