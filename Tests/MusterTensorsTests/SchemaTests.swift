import MusterTensors
import Testing

@Suite("The schema of a model")
struct SchemaTests {
  private let base = TensorSchema([
    .init(name: "fc.weight", dtype: .f32, shape: [2, 3]), .init(name: "fc.bias", dtype: .f32, shape: [2]),
    .init(name: "steps", dtype: .i64, shape: []),
  ])

  @Test("Equal schemas do not differ, whatever their order")
  func equal() {
    let same = TensorSchema(base.tensors.reversed())
    #expect(same == base)
    #expect(same.difference(from: base) == nil)
  }

  @Test("A difference is said in words")
  func words() {
    func difference(_ change: (inout [TensorDescription]) -> Void) -> String? {
      var tensors = base.tensors
      change(&tensors)
      return TensorSchema(tensors).difference(from: base)
    }
    #expect(difference { $0.removeFirst() } == "missing tensor \"fc.bias\"")
    #expect(difference { $0[1].shape = [3, 2] } == "wrong shape of \"fc.weight\": expected [2, 3], got [3, 2]")
    #expect(difference { $0[1].dtype = .f16 } == "wrong dtype of \"fc.weight\": expected F32, got F16")
    #expect(difference { $0.append(.init(name: "x\n", dtype: .u8, shape: [])) } == "unknown tensor \"x\\u{a}\"")
  }

  @Test("Layers that stay on the device may be missing, and updates may travel in half precision")
  func lenient() {
    let update = TensorSchema([.init(name: "fc.weight", dtype: .f16, shape: [2, 3])])
    #expect(update.difference(from: base, required: ["fc.weight"], anyFloatingPoint: true) == nil)
    #expect(update.difference(from: base, required: ["fc.weight"]) == "wrong dtype of \"fc.weight\": expected F32, got F16")
    #expect(update.difference(from: base, required: ["fc.bias"], anyFloatingPoint: true) == "missing tensor \"fc.bias\"")
    let wrong = TensorSchema([.init(name: "steps", dtype: .f32, shape: [])])
    #expect(wrong.difference(from: base, required: [], anyFloatingPoint: true) == "wrong dtype of \"steps\": expected I64, got F32")
  }
}
