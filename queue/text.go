package queue

import (
	"encoding/json"
	"errors"
	"fmt"
)

// States and kinds have names in JSON, flags and logs. The Store does not use
// these names. A value that is not defined has an empty name.

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

// UnmarshalText reads a status from the name that String returns.
func (s *Status) UnmarshalText(text []byte) error {
	return parseName(s, text, "status")
}

// UnmarshalText reads an outcome from the name that String returns.
func (o *Outcome) UnmarshalText(text []byte) error {
	return parseName(o, text, "outcome")
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

// jsonResult is a Result without its methods.
type jsonResult Result

// MarshalJSON implements json.Marshaler. Err is encoded as its text.
func (r Result) MarshalJSON() ([]byte, error) {
	j := struct {
		jsonResult
		Err string `json:",omitempty"`
	}{jsonResult: jsonResult(r)}
	if r.Err != nil {
		j.Err = r.Err.Error()
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler. Err is an error that has only the
// text.
func (r *Result) UnmarshalJSON(b []byte) error {
	j := struct {
		*jsonResult
		Err *string
	}{jsonResult: (*jsonResult)(r)}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Err != nil {
		r.Err = errors.New(*j.Err)
	}
	return nil
}
