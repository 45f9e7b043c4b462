package queue

import "fmt"

// In JSON, flags and the like, states and kinds are written by their names,
// as they are for people. None of them is stored so.

// String names the status in a word.
func (s Status) String() string {
	return [...]string{"waiting", "delivered", "failed", "expired", "removed", "expanded", ""}[min(s, Expanded+1)]
}

// String is "deferred", "success", "failure" or "unreachable".
func (o Outcome) String() string {
	return [...]string{"deferred", "success", "failure", "unreachable", ""}[min(o, Unreachable+1)]
}

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (s MessageStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (s QueueStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a status by its name, for a [Filter]. No text is the
// zero value, which selects all.
func (s *MessageStatus) UnmarshalText(text []byte) error {
	for known := range MessageBad + 1 {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("queue: %q is no status of a message", text)
}
