package rules

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
)

// A Condition is a test of a message or of each of its recipients. The functions
// of this package make conditions. Rules.Validate reports invalid arguments of
// these functions.
type Condition struct {
	perRecipient bool
	match        func(m *Mail, rcpt string) (bool, error)
	err          error
}

// Func returns a condition about a message. If f returns an error, the client
// gets a 451, or the reply in the error if it is a *smtp.SMTPError.
func Func(f func(m *Mail) (bool, error)) Condition {
	return Condition{match: func(m *Mail, _ string) (bool, error) { return f(m) }}
}

// RecipientFunc returns a condition about each recipient. Errors have the same
// effect as in Func.
func RecipientFunc(f func(m *Mail, rcpt string) (bool, error)) Condition {
	return Condition{perRecipient: true, match: f}
}

// Invalid returns a condition that Rules.Validate reports as wrong. It is for
// functions in other packages that make conditions.
func Invalid(err error) Condition { return Condition{err: err} }

func is(f func(m *Mail) bool) Condition {
	return Func(func(m *Mail) (bool, error) { return f(m), nil })
}

// From is met if the reverse-path matches one of the patterns. A pattern is an
// address, a domain, "*." followed by a domain for all of its subdomains, or
// "<>" for the null reverse-path. Use Header for the From field of the header.
func From(patterns ...string) Condition {
	ps, err := addressPatterns(patterns)
	if err != nil {
		return Invalid(fmt.Errorf("From: %w", err))
	}
	return is(func(m *Mail) bool { return ps.match(m.Message.From) })
}

// To is met by recipients that match one of the patterns, as in From.
func To(patterns ...string) Condition {
	ps, err := addressPatterns(patterns)
	if err != nil {
		return Invalid(fmt.Errorf("To: %w", err))
	}
	return RecipientFunc(func(_ *Mail, rcpt string) (bool, error) { return ps.match(rcpt), nil })
}

// Header is met if a field with this name has a value that the regular expression
// (package regexp) matches. Values are unfolded, and encoded-words are decoded.
func Header(name, expression string) Condition {
	re, err := regexp.Compile(expression)
	if err != nil {
		return Invalid(fmt.Errorf("Header(%s): %w", name, err))
	}
	return is(func(m *Mail) bool {
		return slices.ContainsFunc(m.Message.Header.Values(name), func(v string) bool { return re.MatchString(mimetree.DecodeWords(v)) })
	})
}

// Subject is met if the subject contains one of the words or phrases. Upper and
// lower case are the same. If there are several Subject fields, all of them are
// searched, because some mail programs show the first one and others the last
// one.
func Subject(words ...string) Condition {
	lower := newWords(words)
	return is(func(m *Mail) bool {
		return slices.ContainsFunc(m.subjects(), func(v []byte) bool { return m.has(v, lower) })
	})
}

// Body is met if the text of the message (see Mail.Text) contains one of the words
// or phrases. Upper and lower case are the same. If none is found, but other
// programs may find another text in the message, the message is refused with 550
// 5.6.0 (see Rules.AllowAmbiguous).
func Body(words ...string) Condition {
	lower := newWords(words)
	return Func(func(m *Mail) (bool, error) {
		text, err := m.readText()
		if m.has(text, lower) {
			return true, nil
		}
		return false, err
	})
}

// Attachment is met if the name of an attachment matches one of the patterns,
// such as "*.pdf" (see path.Match). Upper and lower case are the same. The
// comparison ignores characters that file systems remove from a name (see
// content.Attachments.Names). Without patterns, every attachment with a name
// matches. If none is found, but other programs may find other parts or names
// in the message, the message is refused with 550 5.6.0 (see
// Rules.AllowAmbiguous).
func Attachment(patterns ...string) Condition {
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return Invalid(fmt.Errorf("Attachment: bad pattern %q", p))
		}
	}
	return Func(func(m *Mail) (bool, error) {
		names, err := m.Attachments()
		for _, n := range names {
			for _, p := range patterns {
				if mimetree.Match(p, n) {
					return true, nil
				}
			}
		}
		return false, err
	})
}

// LargerThan is met by messages of more than n bytes.
func LargerThan(n int64) Condition { return is(func(m *Mail) bool { return m.Size() > n }) }

// SCL is met if the message has at least the given spam confidence level (see
// policy/filter/content).
func SCL(level int) Condition {
	return is(func(m *Mail) bool {
		r, ok := content.RatingOf(m.Session)
		return ok && r.Level >= level
	})
}

// Authenticated is met if the client has logged in (Session.Identity is not
// empty).
func Authenticated() Condition { return is(func(m *Mail) bool { return m.Session.Identity() != "" }) }

// Client is met if the client's IP address is in one of the networks.
func Client(networks ...netip.Prefix) Condition {
	for _, n := range networks {
		if !n.IsValid() {
			return Invalid(fmt.Errorf("Client: %v is not a valid network", n))
		}
	}
	return is(func(m *Mail) bool {
		a, err := netip.ParseAddrPort(m.Session.RemoteAddr().String())
		return err == nil && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Addr().Unmap().WithZone("")) })
	})
}

// Not is met if c is not met.
func Not(c Condition) Condition {
	if c.err != nil || c.match == nil {
		return c
	}
	return Condition{perRecipient: c.perRecipient, match: func(m *Mail, rcpt string) (bool, error) {
		met, err := c.match(m, rcpt)
		return !met, err
	}}
}

// Any is met if at least one of the conditions is met.
func Any(cs ...Condition) Condition {
	any := Condition{}
	for _, c := range cs {
		if c.err != nil || c.match == nil {
			return c
		}
		any.perRecipient = any.perRecipient || c.perRecipient
	}
	any.match = func(m *Mail, rcpt string) (bool, error) {
		for _, c := range cs {
			if met, err := c.match(m, rcpt); err != nil || met {
				return met, err
			}
		}
		return false, nil
	}
	return any
}

// patterns for addresses.
type patterns []string

func addressPatterns(ps []string) (patterns, error) {
	var out patterns
	for _, p := range ps {
		c := p
		domain := strings.TrimPrefix(p, "*.")
		var err error
		switch {
		case p == "<>":
		case strings.Contains(p, "@"):
			err = addr.Mailbox(p, true)
		case domain != p:
			c, err = addr.HostName(domain)
			c = "*." + c
		default:
			c, err = addr.Domain(p)
		}
		if err != nil {
			return nil, fmt.Errorf("bad pattern %q: %w", p, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func (ps patterns) match(address string) bool {
	d := addr.DomainOf(address)
	for _, p := range ps {
		switch {
		case p == "<>":
			if address == "" {
				return true
			}
		case strings.Contains(p, "@"):
			if addr.EqualFold(p, address) {
				return true
			}
		case strings.HasPrefix(p, "*."):
			if strings.HasSuffix(d, p[1:]) {
				return true
			}
		case p == d && address != "":
			return true
		}
	}
	return false
}

// Domain returns the domain of an address in the form for comparisons: lower
// case, with A-labels. It is for the functions of Func and RecipientFunc.
func Domain(address string) string { return addr.DomainOf(address) }
