/// An event on its way into a machine, with the sender that waits for its outcome, if any.
package struct Letter<Event, Sender> {
  package var event: Event
  package var sender: Sender?

  package init(_ event: Event, _ sender: Sender? = nil) {
    self.event = event
    self.sender = sender
  }
}

/// Letters that a machine has not taken yet, in order of arrival, at most `capacity` of them.
package struct Inbox<Event, Sender> {
  private var letters: [Letter<Event, Sender>] = []
  private let capacity: Int

  package init(capacity: Int = 16_384) { self.capacity = capacity }

  package var count: Int { letters.count }
  package var isEmpty: Bool { letters.isEmpty }
  package var isFull: Bool { letters.count >= capacity }

  /// - Returns: false if the inbox is full and the letter was not taken.
  package mutating func offer(_ letter: Letter<Event, Sender>) -> Bool {
    guard !isFull else { return false }
    letters.append(letter)
    return true
  }

  /// Removes and returns the first letters, at most `most`.
  package mutating func drain(_ most: Int = .max) -> [Letter<Event, Sender>] {
    guard letters.count > most else {
      defer { letters = [] }
      return letters
    }
    defer { letters.removeFirst(most) }
    return Array(letters.prefix(most))
  }
}

extension Letter: Sendable where Event: Sendable, Sender: Sendable {}
extension Inbox: Sendable where Event: Sendable, Sender: Sendable {}
