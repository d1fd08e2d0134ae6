import MusterAggregation
import MusterSchema
import MusterTensors

/// Adds the rule under a name, asks for it as a task file would, and runs it on three small updates.
@main
struct Main {
  static func main() throws {
    var rules = Rules()
    rules.add(combiner: "agreement") { (parameters) throws(AggregationError) in
      Agreement(share: try parameters.number("share", .share, else: 0.75))
    }
    let text = #"{"filters": [{"clip": 10}], "combiner": {"agreement": {"share": 0.75}}, "optimizer": {"momentum": {"rate": 0.5}}}"#
    let strategy = try Strategy(JSON.decode(StrategySpecification.self, from: text.utf8), rules: rules)

    let folder = CommandLine.arguments.dropFirst().first ?? "."
    func write(_ name: String, _ values: [Float]) throws -> String {
      let path = "\(folder)/\(name).safetensors"
      try SafetensorsWriter.write([Tensor(name: "w", shape: [values.count], floats: values)], to: path)
      return path
    }
    let base = try write("base", [1, 1, 1, 1])
    let updates = try [[2, 2, 0, 1], [3, 0, 0, 1], [4, 2, -1, 2]].enumerated().map { index, values in
      StoredUpdate(path: "north/pi-\(index + 1)", file: try write("update-\(index + 1)", values), weight: 100)
    }
    let output = "\(folder)/next.safetensors"
    let result = try aggregate(
      base: base, updates: updates, strategy: strategy, output: output, stateOut: "\(folder)/state.safetensors")
    print("\(result.accepted.count) updates, \(result.refused.count) refused")
    print("w = \(try SafetensorsFile(path: output).floats(of: "w"))")
  }
}
