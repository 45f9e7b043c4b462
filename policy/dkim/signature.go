package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// A candidate is a signature that is being verified. What is read of it here
// decides whether go-msgauth is asked, and gives a Signature its values.
type candidate struct {
	Signature
	field   []byte // raw
	relaxed bool   // the form of the header
	key     *dkimsig.PublicKey
}

// conclude notes a result, once.
func (c *candidate) conclude(r Result, err error) {
	if c.Result == "" {
		c.Result, c.Err = r, fmt.Errorf("dkim: %w", err)
	}
}

// parse reads a DKIM-Signature field. What is wrong with it is its conclusion.
func parse(field []byte, now time.Time) *candidate {
	c := &candidate{field: field}
	text := dkimsig.FieldBody(field)
	tags, err := taglist.Parse(text)
	if err != nil {
		c.conclude(Neutral, err)
		return c
	}
	c.Domain = taglist.Compact(tags.Value("d"))
	c.Selector = taglist.Compact(tags.Value("s"))
	c.Algorithm = taglist.Compact(tags.Value("a"))
	c.Value = taglist.Compact(tags.Value("b"))
	if err := c.read(tags, text); err != nil {
		var tooMuch limitError
		if errors.As(err, &tooMuch) {
			c.conclude(Policy, err)
		}
		c.conclude(Neutral, err)
		return c
	}
	if !slices.ContainsFunc(c.Fields, func(name string) bool { return strings.EqualFold(name, "From") }) {
		c.conclude(PermError, errors.New("field From is not signed")) // RFC 6376, 6.1.1
	}
	if err := dkimsig.CheckAlgorithm(c.Algorithm); err != nil {
		c.conclude(PermError, err)
	}
	if _, found := tags.Get("l"); found { // RFC 6376, 8.2
		c.conclude(Policy, errors.New("l= lets anybody add to the message"))
	}
	if !c.Expires.IsZero() && now.After(c.Expires) {
		c.conclude(Policy, errors.New("expired on "+c.Expires.UTC().Format(time.RFC3339)))
	}
	return c
}

// read takes the tags of text in; an error is one of syntax (RFC 6376, 3.5,
// 6.1.1).
func (c *candidate) read(tags taglist.List, text string) (err error) {
	for _, name := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if tags.Value(name) == "" {
			return fmt.Errorf("tag %s= is missing", name)
		}
	}
	if v := tags.Value("v"); v != "1" {
		return fmt.Errorf("unknown version %q", v)
	}
	if !isDomain(c.Domain) {
		return fmt.Errorf("d=%s is no domain", c.Domain)
	}
	if !isSelector(c.Selector) || !lookup.Valid(c.Selector+"._domainkey."+c.Domain) {
		return fmt.Errorf("s=%s is no selector", c.Selector)
	}
	for _, name := range []string{"b", "bh"} {
		if _, err := base64.StdEncoding.DecodeString(taglist.Compact(tags.Value(name))); err != nil {
			return fmt.Errorf("%s= is not base64", name)
		}
	}
	if err := checkOnlyB(tags, text); err != nil {
		return err
	}
	if c.Fields, err = readNames(tags.Value("h")); err != nil {
		return err
	}
	switch taglist.Compact(tags.Value("c")) {
	case "", "simple", "simple/simple", "simple/relaxed":
	case "relaxed", "relaxed/simple", "relaxed/relaxed":
		c.relaxed = true
	default:
		return fmt.Errorf("unknown canonicalization %q", tags.Value("c"))
	}
	if q, found := tags.Get("q"); found && !slices.Contains(taglist.Split(q, ":"), "dns/txt") {
		return fmt.Errorf("q=%s is no way that is known to find a key", q)
	}
	if err := c.readTimes(tags); err != nil {
		return err
	}
	return c.readIdentity(tags)
}

func (c *candidate) readTimes(tags taglist.List) error {
	for name, at := range map[string]*time.Time{"t": &c.Time, "x": &c.Expires} {
		if s, found := tags.Get(name); found {
			n, err := strconv.ParseUint(s, 10, 63)
			if err != nil {
				return fmt.Errorf("%s=%s is no time", name, s)
			}
			*at = time.Unix(int64(min(n, 1<<40)), 0) // RFC 6376, 3.5: up to year 200,000 at least
		}
	}
	if !c.Time.IsZero() && !c.Expires.IsZero() && !c.Expires.After(c.Time) {
		return errors.New("x= is not after t=")
	}
	return nil
}

// readIdentity reads i=, whose domain is that of d= or one below it.
func (c *candidate) readIdentity(tags taglist.List) error {
	i, found := tags.Get("i")
	if !found {
		c.Identity = "@" + c.Domain
		return nil
	}
	c.Identity = i
	if !isBelow(addr.DomainOf(i), addr.DomainOf("@"+c.Domain)) {
		return fmt.Errorf("i=%s is not of d=%s", i, c.Domain)
	}
	// go-msgauth compares letters, not domains, and would call it a mismatch.
	if i = taglist.Compact(i); !strings.HasSuffix(i, "@"+c.Domain) && !strings.HasSuffix(i, "."+c.Domain) {
		return fmt.Errorf("i=%s and d=%s do not write the domain alike", i, c.Domain)
	}
	return nil
}

// readNames reads h=.
func readNames(h string) ([]string, error) {
	if n := strings.Count(h, ":") + 1; n > maxNames {
		return nil, limitError(fmt.Sprintf("h= has %d names, more than %d", n, maxNames))
	}
	names := taglist.Split(h, ":")
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// checkOnlyB says whether "b=" stands anywhere but at the tag of that name.
// What is signed has an empty b= tag (RFC 6376, 3.7), but go-msgauth empties
// everything that follows "b=": a signature with, say, i=bob=x@example.org
// would fail.
func checkOnlyB(tags taglist.List, text string) error {
	for _, t := range tags {
		if t.Name == "b" {
			continue
		}
		value := text[t.Start:t.End]
		for i := range len(value) {
			if value[i] != '=' || i+1 == len(value) {
				continue
			}
			if strings.HasSuffix(strings.TrimRight(value[:i], " \t\r\n\f"), "b") {
				return fmt.Errorf("%s= has \"b=\" in its value", t.Name)
			}
		}
		if strings.HasSuffix(t.Name, "b") && value != "" {
			return fmt.Errorf("tag %s= ends in b", t.Name)
		}
	}
	return nil
}

// strict says whether i= has the very domain of d=.
func (c *candidate) strict() bool {
	return addr.DomainOf(c.Identity) == addr.DomainOf("@"+c.Domain)
}

// isBelow says whether name is domain or a name below it, both in their
// canonical form.
func isBelow(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// isSelector: letters, digits, hyphens, underscores and dots.
func isSelector(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != ""
}

// isDomain: a name that DNS could hold, of visible ASCII or UTF-8 (RFC 8616).
func isDomain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '@' {
			return false
		}
	}
	_, err := addr.Domain(s)
	return err == nil && lookup.Valid(s) && !strings.HasSuffix(s, ".")
}
