import FoundationEssentials
import Glibc
import Testing

@testable import MusterSchema

@Suite struct SystemReasonTests {
  @Test("A file that cannot be read or written is explained as the system does")
  func files() {
    func reason(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "nothing"
      } catch {
        return systemReason(error)
      }
    }
    #expect(reason { _ = try Data(contentsOf: URL(filePath: "/nowhere/file")) } == "No such file or directory")
    #expect(reason { try Data([1]).write(to: URL(filePath: "/nowhere/file")) } == "No such file or directory")
    #expect(reason { _ = try FileManager.default.contentsOfDirectory(atPath: "/nowhere") } == "No such file or directory")
    #expect(reason { _ = try Data(contentsOf: URL(filePath: "/")) } == "Is a directory")
    #expect(reason { try FileManager.default.removeItem(atPath: "/proc/1/nothing") } == "No such file or directory")
    #expect(systemReason(POSIXError(.ENOSPC)) == "No space left on device")
  }
}
