import Testing

@testable import MusterAgent

@Suite struct ConfigurationTests {
  @Test("A key's environment variable is its name in capitals")
  func variables() {
    #expect(AgentSettings.variable("policy.maxLoad") == "MUSTER_POLICY_MAX_LOAD")
  }
}
