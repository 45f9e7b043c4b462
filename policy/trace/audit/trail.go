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

// A Trail has all decisions about one message, including those about its session.
type Trail struct {
	Session string   // ID of the session
	Message string   // ID of the message
	From    string   // the reverse-path, after changes by agents
	To      []string // the recipients, after changes by agents
	Outcome Outcome
	Entries []Entry
	// Dropped is the number of entries that were left out because of
	// Audit.MaxEntries.
	Dropped int
}

// An Outcome is the final state of a message.
type Outcome string

const (
	Accepted   Outcome = "accepted"   // the Handler accepted the message
	Refused    Outcome = "refused"    // an agent or the Handler refused the message
	Discarded  Outcome = "discarded"  // the client got a positive reply, but the message was dropped
	Incomplete Outcome = "incomplete" // the client did not complete the transaction, or a limit ended it
)

// An Entry is the decision of one agent at one event.
type Entry struct {
	Event    string // "connect", "rcpt", "end of data", ...
	Agent    string
	Verdict  string        // "pass", "accept", "discard", "close", a reply ("550 5.7.1 ..."), or "error: ..."
	About    string        // the recipient at "rcpt", the name at "helo"
	Duration time.Duration // of the call
}

// String returns the trail as text with several lines.
func (t *Trail) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "message %s from <%s>: %s\n", t.Message, chars.OneLine(t.From), t.Outcome)
	for _, e := range t.Entries {
		line := fmt.Sprintf("  %-14s %-20s %-24s %v", e.Event, e.Agent, e.Verdict, e.Duration.Round(time.Microsecond))
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

// verdict returns the text for the result of an agent.
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
