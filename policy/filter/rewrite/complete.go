package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Complete adds a domain to addresses without one in the header fields that name a
// sender or a recipient. Some devices write "From: scanner". The addresses of the
// envelope are completed by smtpserver.Server.DefaultDomain.
//
// Only the last mailbox of a field is completed: "scanner", "<scanner>" and
// "Scanner <scanner>". Other text without an @ may be a name.
type Complete struct {
	// Domain is the domain that is added.
	Domain string
}

// completed are the fields that Complete changes.
var completed = append([]string{"To", "Cc"}, senderFields...)

// Validate returns an error if Domain is not a domain.
func (c *Complete) Validate() error {
	_, isAddress, err := canonical(c.Domain)
	if err == nil && isAddress {
		err = fmt.Errorf("%q is an address, not a domain", c.Domain)
	}
	if err != nil {
		return fmt.Errorf("rewrite: Complete.Domain: %w", err)
	}
	return nil
}

// Agent returns an agent that completes addresses at the end of data.
func (c *Complete) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "default domain", EndOfData: func(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return m.Header.Replace(c.field)
	}}
}

func (c *Complete) field(f smtpserver.Field) (string, bool) {
	for _, name := range completed {
		if f.Is(name) {
			before, value := header.Field(f).Cut()
			value, changed := c.value(value)
			return before + value, changed
		}
	}
	return "", false
}

// value completes the last mailbox of a value with folding and line end.
func (c *Complete) value(value string) (string, bool) {
	end := len(strings.TrimRight(value, " \t\r\n"))
	text, start := value[:end], strings.IndexFunc(value, func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) })
	if strings.HasSuffix(text, ">") {
		end--
		start = strings.LastIndexByte(text, '<') + 1
	}
	if start < 0 || start >= end || !isAtom(value[start:end]) {
		return value, false
	}
	done := value[:end] + "@" + c.Domain + value[end:]
	// Not in a comment or in a name, where the result would be no address.
	if list, _ := header.Addresses(done); len(list) == 0 || list[len(list)-1].End != end+1+len(c.Domain) {
		return value, false
	}
	return done, true
}

// isAtom reports whether s can be the local part of an address without quotes: a
// dot-atom (RFC 5322, 3.2.3).
func isAtom(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
