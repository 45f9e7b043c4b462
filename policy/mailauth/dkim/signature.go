package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// A candidate is a signature that is being verified.
type candidate struct {
	Signature
	field                []byte // raw
	headerForm, bodyForm dkimsig.Canon
	bodyHash, sig        []byte // bh= and b=
	bStart, bEnd         int    // position of the value of b= in the field's body
	signer               string // the domain of i=, in canonical form
	own                  bool   // go-msgauth cannot verify it
	key                  *dkimsig.PublicKey
}

// conclude sets the result, unless there already is one.
func (c *candidate) conclude(r Result, err error) {
	if c.Result == "" {
		c.Result, c.Err = r, fmt.Errorf("dkim: %w", err)
	}
}

// parse parses a DKIM-Signature field. If the field is invalid, it sets the
// result.
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
	if err := c.read(tags); err != nil {
		c.conclude(Neutral, err)
		return c
	}
	c.own = c.unfit(tags, text)
	if !slices.ContainsFunc(c.Fields, func(name string) bool { return strings.EqualFold(name, "From") }) {
		c.conclude(PermError, errors.New("field From is not signed")) // RFC 6376, 6.1.1
	}
	if err := dkimsig.CheckAlgorithm(c.Algorithm); err != nil {
		c.conclude(PermError, err)
	}
	if _, found := tags.Get("l"); found { // RFC 6376, 8.2
		c.conclude(Policy, errors.New("l= allows anyone to append text to the body"))
	}
	if !c.Expires.IsZero() && now.After(c.Expires) {
		c.conclude(Policy, errors.New("expired on "+c.Expires.UTC().Format(time.RFC3339)))
	}
	return c
}

// read reads the tags. Its error is a syntax error (RFC 6376, 3.5, 6.1.1).
func (c *candidate) read(tags taglist.List) (err error) {
	for _, name := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if tags.Value(name) == "" {
			return fmt.Errorf("tag %s= is missing", name)
		}
	}
	if v := tags.Value("v"); v != "1" {
		return fmt.Errorf("unknown version %q", v)
	}
	if !isDomain(c.Domain) {
		return fmt.Errorf("d=%s is not a domain", c.Domain)
	}
	if !isSelector(c.Selector) || !lookup.Valid(c.Selector+"._domainkey."+c.Domain) {
		return fmt.Errorf("s=%s is not a selector", c.Selector)
	}
	if err := c.readHashes(tags); err != nil {
		return err
	}
	if c.Fields, err = readNames(tags.Value("h")); err != nil {
		return err
	}
	if c.headerForm, c.bodyForm, err = dkimsig.ParseCanon(taglist.Compact(tags.Value("c"))); err != nil {
		return err
	}
	if q, found := tags.Get("q"); found && !slices.Contains(taglist.Split(q, ":"), "dns/txt") {
		return fmt.Errorf("q=%s is not a known query method", q)
	}
	if err := c.readTimes(tags); err != nil {
		return err
	}
	return c.readIdentity(tags)
}

func (c *candidate) readHashes(tags taglist.List) (err error) {
	for _, t := range tags {
		if t.Name == "b" {
			c.bStart, c.bEnd = t.Start, t.End
		}
	}
	if c.sig, err = base64.StdEncoding.DecodeString(c.Value); err != nil {
		return errors.New("b= is not base64")
	}
	if c.bodyHash, err = base64.StdEncoding.DecodeString(taglist.Compact(tags.Value("bh"))); err != nil {
		return errors.New("bh= is not base64")
	}
	return nil
}

func (c *candidate) readTimes(tags taglist.List) error {
	for name, at := range map[string]*time.Time{"t": &c.Time, "x": &c.Expires} {
		if s, found := tags.Get(name); found {
			n, err := strconv.ParseUint(s, 10, 63)
			if err != nil {
				return fmt.Errorf("%s=%s is not a time", name, s)
			}
			*at = time.Unix(int64(min(n, 1<<40)), 0) // RFC 6376, 3.5: up to year 200,000 at least
		}
	}
	if !c.Time.IsZero() && !c.Expires.IsZero() && !c.Expires.After(c.Time) {
		return errors.New("x= is not after t=")
	}
	return nil
}

// readIdentity reads i=. Its domain is d= or a subdomain of it. The value is in
// quoted-printable (RFC 6376, 2.11 and 3.5).
func (c *candidate) readIdentity(tags taglist.List) error {
	c.Identity = "@" + c.Domain
	if i, found := tags.Get("i"); found {
		var err error
		if c.Identity, err = dkimsig.DecodeQP(i); err != nil {
			return fmt.Errorf("i=%s: %w", i, err)
		}
		if strings.ContainsFunc(c.Identity, unicode.IsControl) { // it goes into Authentication-Results
			return fmt.Errorf("i=%s has control characters", i)
		}
	}
	c.signer = addr.DomainOf(c.Identity)
	if !isBelow(c.signer, addr.DomainOf("@"+c.Domain)) {
		return fmt.Errorf("i=%s is not in the domain d=%s", c.Identity, c.Domain)
	}
	return nil
}

// readNames parses h=.
func readNames(h string) ([]string, error) {
	names := taglist.Split(h, ":")
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// checkName returns an error if name cannot be the name of a header field (RFC
// 5322, 2.2).
func checkName(name string) error {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' || c == ';' {
			return fmt.Errorf("%q is not a header field name", name)
		}
	}
	return nil
}

// strict reports whether the domain of i= is exactly d=.
func (c *candidate) strict() bool {
	return c.signer == addr.DomainOf("@"+c.Domain)
}

// isBelow reports whether name is domain or a subdomain of it. Both are in
// canonical form.
func isBelow(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// isSelector reports whether s has only letters, digits, hyphens, underscores and
// dots, and is not empty.
func isSelector(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return s != ""
}

// isDomain reports whether s is the name of a domain, in ASCII or UTF-8
// (RFC 8616).
func isDomain(s string) bool {
	_, err := addr.HostName(s)
	return err == nil && !strings.HasSuffix(s, ".")
}
