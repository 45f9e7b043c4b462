package site

import (
	"fmt"
	"slices"
)

// A Severity says how serious a Finding is.
type Severity int

const (
	// Note is information: what was checked, and the result.
	Note Severity = iota
	// Warning is a setting or a state that is probably wrong. The relay runs.
	Warning
	// Error is a setting that cannot work or contradicts another one, or a
	// state in which mail is lost, refused or not delivered.
	Error
)

var severities = [...]string{Note: "note", Warning: "warning", Error: "error"}

// String returns "note", "warning" or "error".
func (s Severity) String() string {
	if s >= 0 && int(s) < len(severities) {
		return severities[s]
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// MarshalText returns the text of String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text of String.
func (s *Severity) UnmarshalText(text []byte) error {
	i := slices.Index(severities[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is not a severity", text)
	}
	*s = Severity(i)
	return nil
}

// A Finding is one result of a check.
type Finding struct {
	Severity Severity `json:"severity"`
	// Subject is what was checked: the path of a field, for example
	// "Listeners[0].Server.TLSConfig", or something outside of the relay, for
	// example "MX of example.com".
	Subject string `json:"subject"`
	// Text is the result, in one or more sentences.
	Text string `json:"text"`
	// Err is the error that the finding comes from, or nil.
	Err error `json:"-"`
}

// Error returns the subject and the text.
func (f *Finding) Error() string { return f.Subject + ": " + f.Text }

// Unwrap returns Err.
func (f *Finding) Unwrap() error { return f.Err }
