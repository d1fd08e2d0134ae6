import Glibc
import Testing

@testable import MusterSchema

@Suite struct HomeFolderTests {
  @Test("Without HOME the password file says where home is; nothing is guessed for a user that it does not know")
  func passwordFile() throws {
    let own = try #require(HomeFolder.inPasswordFile(geteuid()))
    #expect(own.hasPrefix("/"))
    #expect(HomeFolder.path(environment: [:]) == own)
    #expect(HomeFolder.path(environment: ["HOME": ""]) == own)
    #expect(HomeFolder.path(environment: ["HOME": "here"]) == own)
    #expect(HomeFolder.path(environment: ["HOME": "/home/x"]) == "/home/x")
    #expect(HomeFolder.inPasswordFile(3_999_999_999) == nil)
  }

  @Test("State goes below XDG_STATE_HOME if that is absolute, else below home")
  func state() {
    #expect(HomeFolder.state(environment: ["XDG_STATE_HOME": "/s", "HOME": "/h"]) == "/s")
    #expect(HomeFolder.state(environment: ["XDG_STATE_HOME": "s", "HOME": "/h"]) == "/h/.local/state")
  }
}
