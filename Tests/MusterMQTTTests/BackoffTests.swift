import Testing

@testable import MusterMQTT

struct BackoffTests {
  /// A generator whose values always select the same fraction of the range: 0 gives the lower end, 1 the upper end.
  private struct Fixed: RandomNumberGenerator, Sendable {
    let value: UInt64
    mutating func next() -> UInt64 { value }
  }

  private func series(_ error: MQTTError, _ value: UInt64, count: Int, lived: Duration = .zero) -> [Duration] {
    var generator: any RandomNumberGenerator & Sendable = Fixed(value: value)
    var backoff = Backoff(MQTTReconnectDelays(minimum: .seconds(1), maximum: .seconds(30)))
    var now = ContinuousClock.now
    return (0..<count).map { _ in
      let delay = backoff.delay(after: error, lived: lived, at: now, using: &generator)
      now += delay
      return delay
    }
  }

  @Test("The ceiling doubles up to the maximum, and the delay can be anything below it")
  func ceiling() {
    let seconds = series(.lost("x"), .max, count: 8).map { ($0 / .seconds(1)).rounded() }
    #expect(seconds == [1, 1, 2, 4, 8, 16, 30, 30])
    #expect(series(.lost("x"), 0, count: 8).allSatisfy { $0 == .zero })
  }

  @Test("Nobody waits longer for a broker that is back than it was away, and nobody asks too often", arguments: [0.5, 1, 3, 10, 60])
  func herd(outage: Double) {
    var generator: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      var backoff = Backoff(.agent)
      let began = ContinuousClock.now
      var (now, attempts) = (began, 0)
      while now - began < .seconds(outage) {
        now += backoff.delay(after: .lost("x"), lived: .zero, at: now, using: &generator)
        attempts += 1
      }
      #expect(now - began <= .seconds(outage) + min(.seconds(max(outage, 1)), .seconds(30)))
      #expect(attempts <= 40)
    }
  }

  @Test("A connection that lived for a while starts the series again; one that is thrown out at once does not")
  func stable() {
    #expect(series(.lost("x"), .max, count: 5, lived: .seconds(10)).allSatisfy { $0 < .seconds(1.1) })
    #expect(series(.lost("x"), .max, count: 6, lived: .seconds(1)).last.map { $0 > .seconds(15) } == true)
  }

  @Test("A refusal that only an operator can mend is never retried within 5 s, and at least every 60 s")
  func refused() {
    for error in [MQTTError.refused(.credentials), .refused(.notAuthorized), .tls("x")] {
      #expect(series(error, 0, count: 10).allSatisfy { $0 == .seconds(5) })
      #expect(series(error, .max, count: 10).allSatisfy { $0 <= .seconds(60) })
      #expect(series(error, .max, count: 10).last.map { $0 > .seconds(59) } == true)
    }
    #expect(series(.refused(.unavailable), 0, count: 3).allSatisfy { $0 == .zero })
  }

  @Test(
    "Topics and filters follow section 4.7 of the standard",
    arguments: [
      ("a", true, true), ("a/b", true, true), ("/", true, true), ("", false, false), ("a/+/b", false, true), ("#", false, true),
      ("a/#", false, true), ("a/#/b", false, false), ("a#", false, false), ("a+/b", false, false), ("+", false, true),
    ])
  func syntax(text: String, isTopic: Bool, isFilter: Bool) {
    #expect(TopicSyntax.isTopic(text) == isTopic)
    #expect(TopicSyntax.isFilter(text) == isFilter)
    #expect(!TopicSyntax.isTopic(text + "\u{0}") && !TopicSyntax.isFilter(text + "\u{0}"))
  }

  @Test("No description of a configuration shows the password")
  func secrets() {
    var configuration = MQTTConfiguration(host: "broker", clientID: "c")
    configuration.username = "user"
    configuration.password = "hunter2"
    #expect("\(configuration)" == "mqtt://user@broker:1883 as c")
  }
}
