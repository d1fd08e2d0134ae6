import MusterSchema
import Testing

@Suite struct WallTimeTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (1_795_913_980_123, "2026-11-29T00:59:40.123Z"), (1, "1970-01-01T00:00:00.001Z"),
    (951_782_400_001, "2000-02-29T00:00:00.001Z"),
  ])
  func aTimeIsWrittenAsItIsRead(milliseconds: Int64, text: String) throws {
    #expect(WallTime(milliseconds: milliseconds).description == text)
    #expect(WallTime(text) == WallTime(milliseconds: milliseconds))
    #expect(try JSON.decode([WallTime].self, from: try JSON.encode([WallTime(milliseconds: milliseconds)])).first?.description == text)
  }

  @Test(arguments: ["", "now", "2026-13-01T00:00:00.000Z", "2026-11-29", "1e99", "1969-12-31"])
  func whatIsNoTimeIsRefused(text: String) {
    #expect(WallTime(text) == nil)
    #expect(throws: DecodingError.self) { try JSON.decode([WallTime].self, from: Array("[\"\(text)\"]".utf8)) }
  }

  @Test func timesBeyondTheCalendarBecomeTheNearestThatHaveADate() {
    #expect(WallTime(milliseconds: .max).description == "9999-12-31T23:59:59.999Z")
    #expect(WallTime(milliseconds: .min).description == "1970-01-01T00:00:00.000Z")
  }
}
