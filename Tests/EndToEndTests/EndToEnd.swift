import Testing

/// Tests with real programs. They run one after another, because the machine may have few cores.
@Suite(.serialized, .keepingLogs) enum EndToEnd {}
