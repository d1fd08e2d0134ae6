import Testing

/// Real programs on a machine of few cores: one fleet after the other.
@Suite(.serialized, .keepingLogs) enum EndToEnd {}
