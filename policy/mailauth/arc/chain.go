package arc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/lookup"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// maxInstances is the maximum number of sets in a chain (RFC 8617, 4.2.1).
const maxInstances = 50

// A tagged is a raw field and its tags. ARC-Authentication-Results has only the tag
// i= here, because the rest of it is not a tag list.
type tagged struct {
	field []byte
	tags  taglist.List
}

// A set has the three fields of one instance.
type set struct{ results, message, seal tagged }

// complete reports whether the set has all three fields.
func (s *set) complete() bool {
	return s.results.field != nil && s.message.field != nil && s.seal.field != nil
}

// readChain returns the ARC sets of a header. highest is the highest instance
// that could be read, also after an error.
func readChain(h *dkimsig.Header) (sets []set, highest int, err error) {
	kinds := []struct {
		name  string
		place func(*set) *tagged
	}{
		{"arc-authentication-results", func(s *set) *tagged { return &s.results }},
		{"arc-message-signature", func(s *set) *tagged { return &s.message }},
		{"arc-seal", func(s *set) *tagged { return &s.seal }},
	}
	if h.Count("arc-authentication-results")+h.Count("arc-message-signature")+h.Count("arc-seal") == 0 {
		return nil, 0, nil
	}
	all := make([]set, 1, 2)
	for _, kind := range kinds {
		for _, field := range h.Named(kind.name) {
			f, i, bad := readInstance(field, kind.name)
			if bad != nil {
				err = bad
				continue
			}
			for len(all) <= i {
				all = append(all, set{})
			}
			place := kind.place(&all[i])
			if place.field != nil {
				err = fmt.Errorf("two %s fields with i=%d", kind.name, i)
			}
			*place = f
			highest = max(highest, i)
		}
	}
	sets = all[1 : highest+1]
	for i := range sets {
		if err == nil && !sets[i].complete() {
			err = fmt.Errorf("set %d of %d is not complete", i+1, highest)
		}
	}
	return sets, highest, err
}

// readInstance parses the tags of a field and returns the value of i=.
func readInstance(field []byte, kind string) (tagged, int, error) {
	body := dkimsig.FieldBody(field)
	if kind == "arc-authentication-results" {
		body, _, _ = strings.Cut(body, ";")
	}
	tags, err := taglist.Parse(body)
	if err != nil {
		return tagged{}, 0, fmt.Errorf("%s: %w", kind, err)
	}
	i, err := strconv.ParseUint(tags.Value("i"), 10, 8)
	if err != nil || i < 1 || i > maxInstances {
		return tagged{}, 0, fmt.Errorf("%s: i=%.10s is not from 1 to %d", kind, tags.Value("i"), maxInstances)
	}
	return tagged{field, tags}, int(i), nil
}

// A signature is an ARC-Message-Signature or an ARC-Seal.
type signature struct {
	field                       []byte
	algorithm, domain, selector string
	bStart, bEnd                int
	sig, bodyHash               []byte
	header, body                dkimsig.Canon
	names                       []string
	cv                          string
}

// readSignature reads the tags that both kinds have.
func readSignature(f *tagged) (s *signature, err error) {
	tags := f.tags
	s = &signature{field: f.field, algorithm: taglist.Compact(tags.Value("a")), domain: taglist.Compact(tags.Value("d")), selector: taglist.Compact(tags.Value("s"))}
	if s.domain == "" || s.selector == "" || !lookup.Valid(s.selector+"._domainkey."+s.domain) {
		return nil, errors.New("d= and s= do not form a valid DNS name")
	}
	if err := dkimsig.CheckAlgorithm(s.algorithm); err != nil {
		return nil, err
	}
	for _, t := range tags {
		if t.Name == "b" {
			s.bStart, s.bEnd = t.Start, t.End
		}
	}
	if s.sig, err = base64.StdEncoding.DecodeString(taglist.Compact(tags.Value("b"))); err != nil || len(s.sig) == 0 {
		return nil, errors.New("b= is empty or not base64")
	}
	return s, nil
}

// readMessageSignature reads an ARC-Message-Signature (RFC 8617, 4.1.2).
func readMessageSignature(f *tagged) (*signature, error) {
	s, err := readSignature(f)
	if err != nil {
		return nil, err
	}
	tags := f.tags
	if s.header, s.body, err = dkimsig.ParseCanon(taglist.Compact(tags.Value("c"))); err != nil {
		return nil, err
	}
	if s.bodyHash, err = base64.StdEncoding.DecodeString(taglist.Compact(tags.Value("bh"))); err != nil || len(s.bodyHash) == 0 {
		return nil, errors.New("bh= is empty or not base64")
	}
	if _, found := tags.Get("l"); found {
		return nil, errors.New("l= may leave a part of the body unsigned")
	}
	s.names = taglist.Split(tags.Value("h"), ":")
	signs := func(name string) bool {
		return slices.ContainsFunc(s.names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	if !signs("from") {
		return nil, errors.New("field From is not signed")
	}
	if signs("arc-seal") {
		return nil, errors.New("h= must not contain ARC-Seal")
	}
	return s, nil
}

// readSeal reads an ARC-Seal (RFC 8617, 4.1.3).
func readSeal(f *tagged, i int) (*signature, error) {
	s, err := readSignature(f)
	if err != nil {
		return nil, err
	}
	if _, found := f.tags.Get("h"); found {
		return nil, errors.New("a seal must not have h=")
	}
	s.cv = f.tags.Value("cv")
	switch {
	case s.cv == "fail", i == 1 && s.cv == "none", i > 1 && s.cv == "pass":
		return s, nil
	}
	return nil, fmt.Errorf("cv=%.10s is not valid with i=%d", s.cv, i)
}

// sealSum returns the hash that the seal of the last set signs: over all fields
// of all sets, in the relaxed form (RFC 8617, 5.1.1). seal is that seal with an
// empty b= tag.
func sealSum(sets []set, seal []byte) []byte {
	h := dkimsig.NewHeaderHash(dkimsig.Relaxed)
	for i, s := range sets {
		h.Add(s.results.field)
		h.Add(s.message.field)
		if i < len(sets)-1 {
			h.Add(s.seal.field)
		}
	}
	return h.Sum(seal)
}
