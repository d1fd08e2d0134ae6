import MusterSchema
import MusterStorage
import MusterTransfer
import Synchronization
import TestSupport
import Testing

@testable import MusterDataPlane
@testable import MusterServer

/// Several simultaneous requests for one upload.
@Suite struct OverlappingUploadTests {
  /// Requests of a client that lost its connection, of which several run at once.
  private enum Step: CaseIterable { case begin, put, rest, empty, head, plain, cancel }

  @Test("However requests for one upload overlap, what is stored has its digest, and its sender is never told that good bytes are bad")
  func overlap() async throws {
    try await UploadProtocolTests.with { round in
      var generator = SeededGenerator(seed: 9)
      for _ in 0..<60 {
        let steps = (0..<6).map { _ in Step.allCases.randomElement(using: &generator) ?? .put }
        _ = try? await round.begin(round.body.count / 2)
        await withTaskGroup(of: Void.self) { group in
          for step in steps + [.rest] { group.addTask { await take(step, round) } }
        }
        // Afterwards the sender can complete it.
        let isThrough = try await eventually { (try? await finish(round)) == true }
        #expect(isThrough, "after \(steps)")
        let stored = try #require(round.server.store.place(of: round.digest)?.path)
        #expect(try Digest(ofFile: stored) == round.digest, "after \(steps)")
        // Removed, so that it becomes a new blob in the next iteration.
        round.server.store.partials.discard(round.server.partialName)
        _ = round.server.store.blobs.discard([round.digest], olderThan: .seconds(-10))
        #expect(round.server.store.place(of: round.digest) == nil)
      }
      #expect(Set(round.server.ledger.offers.map(\.digest)) == [round.digest])
    }
  }

  private func take(_ step: Step, _ round: UploadProtocolTests.Round) async {
    let whole = round.body.count
    do throws(any Error) {
      switch step {
      case .begin: _ = try await round.begin(whole / 3)
      case .put:
        _ = try await round.send(
          "PUT", round.url, round.body[...], [("Upload-Complete", "?1"), ("Repr-Digest", round.digest.contentDigest)])
      case .rest: _ = try await finish(round)
      case .empty: _ = try await round.append(whole..<whole, last: true)
      case .head: _ = try await round.offset()
      case .plain: _ = try await round.send("PUT", round.url, round.body[...], [])
      case .cancel: _ = try await round.send("DELETE", nil, nil, [])
      }
    } catch {
      let status = (error as? TransferError)?.status
      // The request was superseded, claimed, cut off, or its upload is gone. It must not be told that its bytes are wrong.
      #expect([400, 404, 409, 503].contains(status ?? 409), "\(step): \(error)")
    }
  }

  /// Asks for the offset of the upload, and sends the missing bytes.
  private func finish(_ round: UploadProtocolTests.Round) async throws -> Bool {
    let offset = try await round.offset() ?? 0
    let answer =
      offset == 0
      ? try await round.send("PUT", round.url, round.body[...], [("Upload-Complete", "?1"), ("Repr-Digest", round.digest.contentDigest)])
      : try await round.append(offset..<round.body.count, last: true)
    return answer.status == 201 || answer.status == 200
  }
}

extension TestServer {
  fileprivate var partialName: String { "digits, round 3, train, north/pi-1" }
}
