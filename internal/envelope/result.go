package envelope

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"
)

// Outcome is the outcome of an attempt for one recipient.
type Outcome uint8

const (
	// Deferred is a temporary failure for this recipient. The next hop works.
	Deferred Outcome = iota
	// Success means that the next hop replied 2xx to the end of data.
	Success
	// Failure is a permanent refusal by the next hop or by a local rule.
	Failure
	// Unreachable means that no session with the next hop was possible. The
	// cause is not the message.
	Unreachable
	// Busy means that no attempt was made, because all sessions that are allowed
	// with the host are in use.
	Busy
)

// String returns "deferred", "success", "failure", "unreachable" or "busy".
func (o Outcome) String() string {
	return [...]string{"deferred", "success", "failure", "unreachable", "busy", ""}[min(o, Busy+1)]
}

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads an outcome from the name that String returns.
func (o *Outcome) UnmarshalText(text []byte) error {
	for known := range Busy + 1 {
		if known.String() == string(text) {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("unknown outcome %q", text)
}

// A Result is the result of one attempt for one recipient.
type Result struct {
	Outcome Outcome
	// Reply is the reply of the remote host. If no host replied, Host is empty
	// and Reply is made locally.
	Reply smtp.SMTPError
	// Host is the name of the host that replied.
	Host string
	// Addr is the address that the attempt used last: the IP address and port of
	// the host, or the path of its socket. It is set even if no host replied. If
	// the outcome is Busy, it is the address whose sessions are all in use.
	// Next hops with the same address share the limits of one next hop.
	Addr string
	// TLS describes the connection, for example "TLS1.3
	// TLS_AES_128_GCM_SHA256". It is empty for plain text.
	TLS string
	// DSN is true if the host announced DSN (RFC 3461). The host is then
	// responsible for reports, and a queue sends no "relayed" report.
	DSN bool
	// Final is true if the host has put the message into the recipient's
	// mailbox (LMTP). A success is then reported as delivered, not as relayed.
	Final bool
	// Err is the cause as a Go error, for logs. It may be nil. JSON has its text.
	Err error `json:"-"`
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
