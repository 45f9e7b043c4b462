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

// A Condition is something that a message, or one of its recipients, meets or
// does not. The functions of this package make them; what is wrong with their
// arguments, Rules.Validate says.
type Condition struct {
	perRecipient bool
	match        func(m *Mail, rcpt string) (bool, error)
	err          error
}

// Func is a condition about a message.
func Func(f func(m *Mail) (bool, error)) Condition {
	return Condition{match: func(m *Mail, _ string) (bool, error) { return f(m) }}
}

// RecipientFunc is a condition about each recipient.
func RecipientFunc(f func(m *Mail, rcpt string) (bool, error)) Condition {
	return Condition{perRecipient: true, match: f}
}

// Invalid is a condition that Validate reports, for functions that make
// conditions elsewhere.
func Invalid(err error) Condition { return Condition{err: err} }

func is(f func(m *Mail) bool) Condition {
	return Func(func(m *Mail) (bool, error) { return f(m), nil })
}

// From is met when the reverse-path matches one of the patterns: an address,
// a domain, "*." and a domain for its subdomains, or "<>" for the null
// reverse-path. The From field of the header is a matter of Header.
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

// Header is met when a field of that name has a value in which the regular
// expression is found. Values are unfolded, and their encoded-words read.
func Header(name, expression string) Condition {
	re, err := regexp.Compile(expression)
	if err != nil {
		return Invalid(fmt.Errorf("Header(%s): %w", name, err))
	}
	return is(func(m *Mail) bool {
		return slices.ContainsFunc(m.Message.Header.Values(name), func(v string) bool { return re.MatchString(mimetree.DecodeWords(v)) })
	})
}

// Subject is met when the subject has one of the words or phrases in it, in
// upper or lower case; or one of the subjects, where there are several, since
// readers of mail differ in which one they show.
func Subject(words ...string) Condition {
	return is(func(m *Mail) bool {
		return slices.ContainsFunc(m.Message.Header.Values("Subject"), func(v string) bool { return containsAny(mimetree.DecodeWords(v), words) })
	})
}

// Body is met when the text of the message (see Mail.Text) has one of the
// words or phrases in it, in upper or lower case. A message in which none is
// found, and in which other programs may find another text, is refused with 550
// 5.6.0 (see Rules.AllowUnclear).
func Body(words ...string) Condition {
	return Func(func(m *Mail) (bool, error) {
		text, err := m.Text()
		if containsAny(text, words) {
			return true, nil
		}
		return false, err
	})
}

func containsAny(text string, words []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, strings.ToLower(w)) })
}

// Attachment is met when the name of an attachment matches one of the
// patterns of path.Match, in upper or lower case: "*.pdf". What file systems
// do not keep of a name does not count (see content.Attachments.Names).
// Without patterns any attachment with a name will do. A message in which none
// is found, and in which other programs may find other parts or names, is refused
// with 550 5.6.0 (see Rules.AllowUnclear).
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

// SCL is met when the message has that spam confidence level, or a higher one
// (see policy/filter/content).
func SCL(level int) Condition {
	return is(func(m *Mail) bool {
		r, ok := content.RatingOf(m.Session)
		return ok && r.Level >= level
	})
}

// Authenticated is met when the client has proved who it is.
func Authenticated() Condition { return is(func(m *Mail) bool { return m.Session.Identity() != "" }) }

// Client is met when the client's address is in one of the networks.
func Client(networks ...netip.Prefix) Condition {
	for _, n := range networks {
		if !n.IsValid() {
			return Invalid(fmt.Errorf("Client: %v is no network", n))
		}
	}
	return is(func(m *Mail) bool {
		a, err := netip.ParseAddrPort(m.Session.RemoteAddr().String())
		return err == nil && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Addr().Unmap().WithZone("")) })
	})
}

// Not is met where c is not.
func Not(c Condition) Condition {
	if c.err != nil || c.match == nil {
		return c
	}
	return Condition{perRecipient: c.perRecipient, match: func(m *Mail, rcpt string) (bool, error) {
		met, err := c.match(m, rcpt)
		return !met, err
	}}
}

// Any is met where one of the conditions is.
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

// Domain is the domain of an address, in the form in which domains are
// compared: lower case, A-labels. It is for conditions of one's own.
func Domain(address string) string { return addr.DomainOf(address) }
