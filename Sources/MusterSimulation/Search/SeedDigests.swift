/// The digests of the histories of seeds 1 to n, as a text file: eight hexadecimal digits per seed, ten seeds per line.
///
/// A change that must not alter any behavior is compared with the recorded file. Only a commit that does nothing else records a new one.
package struct SeedDigests: Hashable, Sendable {
  /// The lower 32 bits of ``FaultReport/digest``, in the order of the seeds.
  private var digests: [UInt32]

  /// - Parameter histories: digest by seed; must hold every seed from 1 to its count.
  /// - Returns: `nil` if a seed is missing.
  package init?(_ histories: [UInt64: UInt64]) {
    digests = []
    for seed in 1...UInt64(max(1, histories.count)) {
      guard let digest = histories[seed] else { return nil }
      digests.append(UInt32(truncatingIfNeeded: digest))
    }
  }

  /// - Returns: `nil` if the string is not such a file.
  package init?(_ text: some StringProtocol) {
    digests = []
    for word in text.split(whereSeparator: \.isWhitespace) {
      guard word.utf8.count == 8, let digest = UInt32(word, radix: 16) else { return nil }
      digests.append(digest)
    }
    if digests.isEmpty { return nil }
  }

  package var count: Int { digests.count }

  package var text: String {
    stride(from: 0, to: digests.count, by: 10).map { start in
      digests[start..<min(start + 10, digests.count)].map(Self.hexadecimal).joined(separator: " ") + "\n"
    }.joined()
  }

  /// The seeds whose history differs from the recorded one, sorted. Seeds beyond the end of the file are not compared.
  package func differing(from histories: [UInt64: UInt64]) -> [UInt64] {
    histories.filter { seed, digest in
      (1...UInt64(digests.count)).contains(seed) && digests[Int(seed - 1)] != UInt32(truncatingIfNeeded: digest)
    }.keys.sorted()
  }

  private static func hexadecimal(_ digest: UInt32) -> String {
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
