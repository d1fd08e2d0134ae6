import MusterSchema
import MusterServer

extension Problem {
  static let conflict = Problem(.alreadyCounted, "a different contribution of this node already counts")
  static func wrongDigest(_ digest: Digest, _ declared: Digest) -> Problem {
    Problem(.wrongDigest, "the body's digest is \(digest), but its Content-Digest says \(declared)")
  }
  static func closed(_ reason: String) -> Problem { Problem(.phaseClosed, reason) }
  static func unknown(_ key: ContributionKey) -> Problem { .notFound("this server has no phase that accepts \(key)") }
}
