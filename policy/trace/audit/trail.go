package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Trail is what was said of one message, from the connection that brought it
// to its end.
type Trail struct {
	Session string // ID of the session
	Message string // ID of the message
	From    string // its reverse-path, at the end
	To      []string
	Outcome Outcome
	Entries []Entry
	// Dropped counts the entries beyond Audit.MaxEntries.
	Dropped int
}

// An Outcome is what became of a message.
type Outcome string

const (
	Accepted  Outcome = "accepted"  // the Handler has taken it over
	Refused   Outcome = "refused"   // by an agent or the Handler
	Discarded Outcome = "discarded" // accepted for the client, and dropped
	Unsent    Outcome = "unsent"    // the client gave it up, or a limit ended it
)

// An Entry is one agent's word at one event.
type Entry struct {
	Event   string // "connect", "rcpt", "end of data", ...
	Agent   string
	Verdict string // "pass", "accept", "discard", or the reply: "550 5.7.1 ..."
	About   string // the recipient at rcpt, the name at helo
	Took    time.Duration
}

// String is the trail in several lines, for people.
func (t *Trail) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s from <%s>: %s\n", t.Message, chars.OneLine(t.From), t.Outcome)
	for _, e := range t.Entries {
		line := fmt.Sprintf("  %-14s %-20s %-24s %v", e.Event, e.Agent, e.Verdict, e.Took.Round(time.Microsecond))
		if e.About != "" {
			line += "  " + e.About
		}
		b.WriteString(chars.OneLine(line) + "\n")
	}
	if t.Dropped > 0 {
		fmt.Fprintf(&b, "  and %d more\n", t.Dropped)
	}
	return b.String()
}

// verdict puts an agent's result into words.
func verdict(err error) string {
	if err == nil {
		return "pass"
	}
	var e *smtp.SMTPError
	switch {
	case errors.As(err, &e):
		return reply(e)
	case errors.Is(err, smtpserver.ErrAccept):
		return "accept"
	case errors.Is(err, smtpserver.ErrDiscard):
		return "discard"
	case errors.Is(err, smtpserver.ErrClose):
		return "close"
	}
	return "error: " + err.Error()
}

func reply(e *smtp.SMTPError) string {
	if e.EnhancedCode[0] <= 0 {
		return fmt.Sprintf("%d %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%d %d.%d.%d %s", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], e.Message)
}
