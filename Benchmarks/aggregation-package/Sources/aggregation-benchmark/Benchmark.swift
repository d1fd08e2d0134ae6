import CPlain
import Foundation
import Glibc
import MusterAggregation
import MusterSchema
import MusterTensors

/// One line of JSON for each figure: `Benchmarks/aggregation` reads them.
@main
struct Benchmark {
  static func main() throws {
    var arguments = Array(CommandLine.arguments.dropFirst())
    func take(_ fallback: Int) -> Int { arguments.isEmpty ? fallback : Int(arguments.removeFirst()) ?? fallback }
    guard arguments.count >= 2 else {
      throw Wrong("usage: aggregation-benchmark mean|rules|encodings|read FOLDER [UPDATES ELEMENTS DTYPE-BYTES REPEATS]")
    }
    let (mode, folder) = (arguments.removeFirst(), arguments.removeFirst())
    switch mode {
    case "mean":
      let (updates, count) = (take(10), take(25_000_000))
      let dtype: DType =
        switch take(4) {
        case 1: .i8
        case 2: .f16
        default: .f32
        }
      try mean(folder, updates: updates, count: count, dtype: dtype, repeats: take(7))
    case "encodings": try encodings(folder, count: take(25_000_000), repeats: take(5))
    case "read": try read(folder, count: take(25_000_000), repeats: take(5))
    case "rules": try rules(folder, updates: take(20), count: take(1_000_000), repeats: take(5))
    default: throw Wrong("unknown mode \(mode)")
    }
  }

  struct Wrong: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  // MARK: - Files

  /// A base and updates of one tensor, in the page cache; those of I8 are differences with a scale for each of 1,000 channels.
  static func makeFiles(_ folder: String, updates: Int, count: Int, dtype: DType) throws -> (base: String, updates: [String]) {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // Quick, and good enough: the words of a linear congruence.
    var word: UInt64 = 7
    let shape = dtype == .i8 ? [1000, count / 1000] : [count]
    func write(_ path: String, _ dtype: DType, scale: Float) throws {
      let writer = try SafetensorsWriter(path: path, tensors: [TensorDescription(name: "w", dtype: dtype, shape: shape)])
      var left = count
      while left > 0 {
        let length = min(left, 1 << 18)
        let values = [Float](unsafeUninitializedCapacity: length) { buffer, count in
          for index in 0..<length {
            word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer[index] = Float(Int16(truncatingIfNeeded: word >> 40)) * scale
          }
          count = length
        }
        try writer.write(Tensor(name: "w", shape: [length], floats: values, dtype: dtype).data)
        left -= length
      }
      try writer.finish(durable: false)
    }
    let base = "\(folder)/base.safetensors"
    try write(base, .f32, scale: 1e-4)
    let paths = (0..<updates).map { "\(folder)/update-\($0).safetensors" }
    for path in paths {
      try write(path, dtype == .i8 ? .f32 : dtype, scale: 1.1e-4)
      guard dtype == .i8 else { continue }
      // A mapping keeps the file that it shows.
      try TensorEncoding.int8.encode(
        update: SafetensorsFile(path: path), since: nil, to: path, metadata: ["muster.content": "delta"])
    }
    return (base, paths)
  }

  static func report(_ values: [String: Any]) throws {
    let data = try JSONSerialization.data(withJSONObject: values, options: [.sortedKeys])
    print(String(decoding: data, as: UTF8.self))
    fflush(nil)
  }

  static func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
  }

  static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }

  static func withCStrings<R>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) throws -> R) rethrows -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return try body(copies.map { UnsafePointer($0) })
  }

  // MARK: - The weighted mean

  static func mean(_ folder: String, updates: Int, count: Int, dtype: DType, repeats: Int) throws {
    let (base, paths) = try makeFiles(folder, updates: updates, count: count, dtype: dtype)
    let contributions = paths.enumerated().map { StoredUpdate(path: "u\($0)", file: $1, weight: Double($0 + 1)) }
    let strategy = try Strategy(named: "fedavg")
    let output = "\(folder)/out.safetensors"
    let all = [base] + paths
    let weights = (0..<all.count).map { 1 / Double($0 + 1) }
    let bytes = count * 4 + updates * count * dtype.byteSize
    let offset = try SafetensorsFile(path: base).header.dataOffset
    let probe = UnsafeMutableRawPointer.allocate(byteCount: 1 << 28, alignment: 4096)
    memset(probe, 1, 1 << 28)
    for number in 0...repeats {
      var figures: [String: Any] = ["mode": "mean", "updates": updates, "dtype": dtype.rawValue, "bytes": bytes]
      figures["probe"] = Double(1 << 28) / plain_read(probe, 1 << 28, 2)
      withCStrings(all) { names in
        var before = processorSeconds()
        if dtype == .f32 {
          figures["plain"] = plain_mean(names, weights, all.count, offset, count, nil, 2)
          figures["plainProcessor"] = processorSeconds() - before
          before = processorSeconds()
          figures["plainWriting"] = plain_mean(names, weights, all.count, offset, count, "\(folder)/plain", 2)
          figures["plainWritingProcessor"] = processorSeconds() - before
          figures["plainBytes"] = bytes
        } else {
          // The updates' bytes, as if they were floats: that loop's speed is what is asked for.
          figures["plain"] = plain_mean(Array(names.dropFirst()), weights, updates, offset, count * dtype.byteSize / 4, nil, 2)
          figures["plainProcessor"] = processorSeconds() - before
          figures["plainBytes"] = updates * count * dtype.byteSize
        }
      }
      let before = processorSeconds()
      var result: AggregationResult?
      figures["whole"] = try seconds {
        result = try aggregate(base: base, updates: contributions, strategy: strategy, output: output, durable: false, threads: 2)
      }
      figures["wholeProcessor"] = processorSeconds() - before
      let (seconds, attoseconds) = (result?.writing ?? .zero).components
      figures["writing"] = Double(seconds) + Double(attoseconds) * 1e-18
      figures["read"] = result?.bytesRead
      var usage = rusage()
      getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
      figures["peakMiB"] = usage.ru_maxrss / 1024
      // The first time is for warming up.
      if number > 0 { try report(figures) }
      unlink(output)
      unlink("\(folder)/plain")
    }
    probe.deallocate()
  }

  // MARK: - Encodings

  static func encodings(_ folder: String, count: Int, repeats: Int) throws {
    let count = count / 1000 * 1000
    let (base, paths) = try makeFiles(folder, updates: 1, count: count, dtype: .i8)
    // What training changed, in float32.
    try EncodedFile(SafetensorsFile(path: paths[0])).decode(to: "\(folder)/dense")
    let (model, update) = try (SafetensorsFile(path: base), SafetensorsFile(path: "\(folder)/dense"))
    for encoding in [TensorEncoding.float16, .bfloat16, .int8, .topK(fraction: 0.05)] {
      for number in 0...repeats {
        let output = "\(folder)/encoded"
        var figures: [String: Any] = ["mode": "encoding", "encoding": encoding.name, "bytes": count * 4]
        figures["plain"] = withCStrings(["\(folder)/dense"]) { plain_mean($0, [1], 1, update.header.dataOffset, count, nil, 1) }
        figures["encode"] = try seconds {
          try encoding.encode(update: update, since: nil, to: output, metadata: ["muster.content": "delta"])
        }
        figures["decode"] = try seconds {
          try EncodedFile(SafetensorsFile(path: output), base: model.schema).decode(to: "\(folder)/decoded")
        }
        figures["encodedBytes"] = try SafetensorsFile(path: output).header.fileByteCount
        if number > 0 { try report(figures) }
      }
    }
  }

  // MARK: - Reading

  /// A model of 100 tensors: its header, and all of its numbers as floats of the program's own.
  static func read(_ folder: String, count: Int, repeats: Int) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let path = "\(folder)/model.safetensors"
    let tensors = (0..<100).map { TensorDescription(name: "layer\($0).weight", dtype: .f32, shape: [count / 100]) }
    let writer = try SafetensorsWriter(path: path, tensors: tensors)
    for _ in tensors { try writer.write([UInt8](repeating: 1, count: count / 100 * 4)) }
    try writer.finish(durable: false)
    let offset = try SafetensorsFile(path: path).header.dataOffset
    for number in 0...repeats {
      var figures: [String: Any] = ["mode": "read", "bytes": count / 100 * 400]
      figures["plain"] = withCStrings([path]) { plain_mean($0, [1], 1, offset, count / 100 * 100, nil, 1) }
      figures["open"] = try seconds { _ = try SafetensorsFile(path: path) }
      figures["read"] = try seconds {
        let file = try SafetensorsFile(path: path)
        for tensor in file.tensors { _ = try file.floats(of: tensor.name) }
      }
      if number > 0 { try report(figures) }
    }
  }

  // MARK: - Every rule

  static func rules(_ folder: String, updates: Int, count: Int, repeats: Int) throws {
    let (base, paths) = try makeFiles(folder, updates: updates, count: count, dtype: .f32)
    let contributions = paths.enumerated().map { StoredUpdate(path: "u\($0)", file: $1, weight: Double($0 + 1)) }
    let rules = [
      "\"mean\"", "\"median\"", "{\"trimmedMean\":0.2}", "{\"krum\":4}", "{\"multiKrum\":4}", "{\"bulyan\":4}", "\"geometricMedian\"",
    ]
    for rule in rules {
      let strategy = try Strategy(JSON.decode(StrategySpecification.self, from: "{\"combiner\":\(rule)}".utf8))
      for number in 0...repeats {
        let before = processorSeconds()
        let wall = try seconds {
          _ = try aggregate(
            base: base, updates: contributions, strategy: strategy, output: "\(folder)/out.safetensors", durable: false, threads: 1)
        }
        if number > 0 { try report(["mode": "rule", "rule": rule, "processor": processorSeconds() - before, "wall": wall]) }
      }
    }
  }
}
