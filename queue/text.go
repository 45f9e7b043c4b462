package queue

import "fmt"

// States and kinds have names in JSON, flags and logs. The Store does not use
// these names.

// String returns "waiting", "delivered", "failed", "expired", "removed" or
// "expanded".
func (s Status) String() string {
	return [...]string{"waiting", "delivered", "failed", "expired", "removed", "expanded", ""}[min(s, Expanded+1)]
}

// String returns "deferred", "success", "failure", "unreachable" or "busy".
func (o Outcome) String() string {
	return [...]string{"deferred", "success", "failure", "unreachable", "busy", ""}[min(o, Busy+1)]
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

// UnmarshalText reads a status from its name, for a [Filter]. An empty text is
// the zero value, which selects all messages.
func (s *MessageStatus) UnmarshalText(text []byte) error {
	for known := range MessageBad + 1 {
		if known.String() == string(text) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("queue: unknown message status %q", text)
}
