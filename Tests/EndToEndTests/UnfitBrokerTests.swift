import FoundationEssentials
import MusterTransfer
import TestSupport
import Testing

extension EndToEnd {
  /// Central with a broker that lacks a feature without reporting an error.
  @Suite struct UnfitBrokerTests {
    @Test("A broker that drops messages of 4 KiB is named in /readyz and in the log; one that takes them is not", .timeLimit(.minutes(1)))
    func messageSize() async throws {
      for (lines, isFit) in [(["message_size_limit 2000"], false), ([], true)] {
        var options = BrokerProcess.Options()
        options.lines = lines
        let broker = try await BrokerProcess.started(options)
        let folder = try TemporaryFolder()
        let ops = try freePort()
        let central = try ChildProcess(
          "muster-central",
          [
            "--state", folder.file("state"), "--broker-port", "\(broker.port)", "--data-port", "\(try freePort())", "--ops-port", "\(ops)",
            "--regions", "north", "--log-level", "debug",
          ], log: folder.file("central.log"))
        let http = try HTTPClient()
        var text = ""
        let says = try await eventually(within: .seconds(30)) {
          do throws(TransferError) {
            text = String(decoding: try await http.send("GET", "http://127.0.0.1:\(ops)/readyz").body, as: UTF8.self)
          } catch {
            text = "\(error)"
          }
          // The end of the probe shows in the log.
          return isFit
            ? central.log.contains("the broker has all required features") : text.contains("does not deliver a message of 4096 bytes")
        }
        #expect(says, "\(text)\n\(central.log.suffix(2000))")
        #expect(central.log.contains("does not deliver a message") == !isFit)
        #expect(isFit || central.log.contains("see broker/README.md"), "\(central.log.suffix(2000))")
        central.signal(15)
        try await central.wait()
      }
    }
  }
}
