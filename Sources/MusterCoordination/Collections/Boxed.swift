/// A value in a box of its own: copying it costs one retain, whatever it consists of. A change of a box that is shared makes a new one.
@propertyWrapper
package struct Boxed<Value> {
  private final class Box {
    var value: Value
    init(_ value: Value) { self.value = value }
  }

  private var box: Box

  package init(wrappedValue: Value) { box = Box(wrappedValue) }

  package var wrappedValue: Value {
    _read { yield box.value }
    _modify {
      if !isKnownUniquelyReferenced(&box) { box = Box(box.value) }
      yield &box.value
    }
  }
}

// A box that is shared is never written to.
extension Boxed: @unchecked Sendable where Value: Sendable {}
extension Boxed: Equatable where Value: Equatable {
  package static func == (left: Self, right: Self) -> Bool { left.box === right.box || left.box.value == right.box.value }
}
extension Boxed: Hashable where Value: Hashable {
  package func hash(into hasher: inout Hasher) { hasher.combine(box.value) }
}
