/// A value in a box of its own: a copy costs one retain, whatever the value contains. A change makes a new box.
@propertyWrapper
package struct Boxed<Value> {
  fileprivate final class Box {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  private var box: Box

  package init(wrappedValue: Value) { box = Box(wrappedValue) }

  package var wrappedValue: Value {
    _read { yield box.value }
    _modify {
      var value = box.value
      yield &value
      box = Box(value)
    }
  }
}

extension Boxed.Box: Sendable where Value: Sendable {}
extension Boxed: Sendable where Value: Sendable {}
extension Boxed: Equatable where Value: Equatable {
  package static func == (left: Self, right: Self) -> Bool { left.box === right.box || left.box.value == right.box.value }
}
extension Boxed: Hashable where Value: Hashable {
  package func hash(into hasher: inout Hasher) { hasher.combine(box.value) }
}
