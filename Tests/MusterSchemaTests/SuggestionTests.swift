import MusterSchema
import Testing

@Suite struct SuggestionTests {
  private let names = ["--region", "--broker-host", "--state", "--config", "--ops-port", "--data-port"]

  @Test(arguments: [
    ("--regoin", "--region"), ("--rigion", "--region"), ("--brokerhost", "--broker-host"), ("--stat", "--state"),
    ("--confg", "--config"), ("--dataport", "--data-port"),
  ])
  func aMistypedNameFindsTheOneThatWasMeant(typed: String, meant: String) {
    #expect(Suggestion.closest(to: typed, among: names) == meant)
    #expect(Suggestion.question(typed, among: names) == " Did you mean \(meant)?")
  }

  @Test(arguments: ["", "--", "--quantum", "x", String(repeating: "-", count: 100)])
  func whatIsFarFromEveryNameGetsNoSuggestion(typed: String) {
    #expect(Suggestion.question(typed, among: names) == "")
  }
}
