package queue

import "fmt"

// States and kinds have names in JSON, flags and logs. The Store does not use
// these names. A value that is not defined has an empty name.

// String returns "waiting", "delivered", "failed", "expired", "removed" or
// "expanded".
func (s Status) String() string {
	return [...]string{"waiting", "delivered", "failed", "expired", "removed", "expanded", ""}[min(s, Expanded+1)]
}

// MarshalText implements encoding.TextMarshaler.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (s MessageStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (s QueueStatus) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (k LimitKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a status from the name that String returns.
func (s *Status) UnmarshalText(text []byte) error {
	return parseName(s, text, "status")
}

// UnmarshalText reads a status from the name that String returns. An empty text
// is the zero value, which selects all messages in a [Filter].
func (s *MessageStatus) UnmarshalText(text []byte) error {
	return parseName(s, text, "message status")
}

// UnmarshalText reads a status from the name that String returns. An empty text
// is the zero value.
func (s *QueueStatus) UnmarshalText(text []byte) error {
	return parseName(s, text, "queue status")
}

// UnmarshalText reads a kind from the name that String returns. An empty text is
// the zero value.
func (k *EventKind) UnmarshalText(text []byte) error {
	return parseName(k, text, "event kind")
}

// UnmarshalText reads a kind from the name that String returns.
func (k *LimitKind) UnmarshalText(text []byte) error {
	return parseName(k, text, "kind of limit")
}

// parseName sets v to the value whose name is text. The values that have a name
// follow each other; the name of the zero value may be empty.
func parseName[T interface {
	~uint8
	String() string
}](v *T, text []byte, what string) error {
	for known := T(0); known == 0 || known.String() != ""; known++ {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("queue: unknown %s %q", what, text)
}
