import MusterSchema
import Testing

@Suite struct ByteRangeTests {
  @Test(
    "a single range is read as RFC 9110 says, anything else asks for the whole",
    arguments: [
      (nil, ByteRange.whole),
      ("bytes=0-3", .part(0..<4)),
      ("bytes=4-", .part(4..<10)),
      ("bytes=0-99", .part(0..<10)),
      ("bytes=9-9", .part(9..<10)),
      ("bytes=-3", .part(7..<10)),
      ("bytes=-99", .part(0..<10)),
      ("Bytes= 2 - 3", .part(2..<4)),
      ("bytes=10-", .unsatisfiable),
      ("bytes=10-12", .unsatisfiable),
      ("bytes=-0", .unsatisfiable),
      ("bytes=99999999999999999999-", .unsatisfiable),
      ("bytes=-99999999999999999999", .part(0..<10)),
      ("bytes=2-99999999999999999999", .part(2..<10)),
      ("bytes=3-2", .whole),
      ("bytes=0-1,4-5", .whole),
      ("bytes=-", .whole),
      ("bytes=", .whole),
      ("bytes=a-b", .whole),
      ("bytes=1", .whole),
      ("bytes=--3", .whole),
      ("lines=1-2", .whole),
      ("bytes\u{301}=0-3", .whole),
      ("bytes=0-3\u{301}", .whole),
      ("bytes=-1-", .whole),
    ] as [(String?, ByteRange)])
  func ranges(_ field: String?, _ expected: ByteRange) {
    #expect(ByteRange(field, size: 10) == expected)
  }

  @Test("an empty file has no range")
  func empty() {
    #expect(ByteRange("bytes=0-", size: 0) == .unsatisfiable)
    #expect(ByteRange("bytes=-5", size: 0) == .unsatisfiable)
    #expect(ByteRange(nil, size: 0) == .whole)
  }
}
