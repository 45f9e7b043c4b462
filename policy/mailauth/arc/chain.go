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

// A set has the three fields of one instance.
type set struct {
	results, message, seal []byte // raw
}

// readChain returns the ARC sets of a header. highest is the highest instance
// that could be read, also after an error.
func readChain(h *dkimsig.Header) (sets []set, highest int, err error) {
	kinds := []struct {
		name  string
		place func(*set) *[]byte
	}{
		{"arc-authentication-results", func(s *set) *[]byte { return &s.results }},
		{"arc-message-signature", func(s *set) *[]byte { return &s.message }},
		{"arc-seal", func(s *set) *[]byte { return &s.seal }},
	}
	if h.Count("arc-authentication-results")+h.Count("arc-message-signature")+h.Count("arc-seal") == 0 {
		return nil, 0, nil
	}
	all := make([]set, 1, 4)
	for _, kind := range kinds {
		for _, field := range h.Named(kind.name) {
			i, bad := instance(field, kind.name)
			if bad != nil {
				err = bad
				continue
			}
			for len(all) <= i {
				all = append(all, set{})
			}
			place := kind.place(&all[i])
			if *place != nil {
				err = fmt.Errorf("two %s fields with i=%d", kind.name, i)
			}
			*place = field
			highest = max(highest, i)
		}
	}
	sets = all[1 : highest+1]
	for i, s := range sets {
		if err == nil && (s.results == nil || s.message == nil || s.seal == nil) {
			err = fmt.Errorf("set %d of %d is not complete", i+1, highest)
		}
	}
	return sets, highest, err
}

// instance returns the i= tag of a field.
func instance(field []byte, kind string) (int, error) {
	body := dkimsig.FieldBody(field)
	if kind == "arc-authentication-results" {
		body, _, _ = strings.Cut(body, ";") // the rest is not a tag list
	}
	tags, err := taglist.Parse(body)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", kind, err)
	}
	i, err := strconv.ParseUint(tags.Value("i"), 10, 8)
	if err != nil || i < 1 || i > maxInstances {
		return 0, fmt.Errorf("%s: i=%.10s is not from 1 to %d", kind, tags.Value("i"), maxInstances)
	}
	return int(i), nil
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

// readSignature parses the tags that both kinds have.
func readSignature(field []byte) (*signature, taglist.List, error) {
	tags, err := taglist.Parse(dkimsig.FieldBody(field))
	if err != nil {
		return nil, nil, err
	}
	s := &signature{field: field, algorithm: taglist.Compact(tags.Value("a")), domain: taglist.Compact(tags.Value("d")), selector: taglist.Compact(tags.Value("s"))}
	if s.domain == "" || s.selector == "" || !lookup.Valid(s.selector+"._domainkey."+s.domain) {
		return nil, nil, errors.New("d= and s= do not form a valid DNS name")
	}
	if err := dkimsig.CheckAlgorithm(s.algorithm); err != nil {
		return nil, nil, err
	}
	for _, t := range tags {
		if t.Name == "b" {
			s.bStart, s.bEnd = t.Start, t.End
		}
	}
	if s.sig, err = base64.StdEncoding.DecodeString(taglist.Compact(tags.Value("b"))); err != nil || len(s.sig) == 0 {
		return nil, nil, errors.New("b= is empty or not base64")
	}
	return s, tags, nil
}

// readMessageSignature parses an ARC-Message-Signature (RFC 8617, 4.1.2).
func readMessageSignature(field []byte) (*signature, error) {
	s, tags, err := readSignature(field)
	if err != nil {
		return nil, err
	}
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

// readSeal parses an ARC-Seal (RFC 8617, 4.1.3).
func readSeal(field []byte, i int) (*signature, error) {
	s, tags, err := readSignature(field)
	if err != nil {
		return nil, err
	}
	if _, found := tags.Get("h"); found {
		return nil, errors.New("a seal must not have h=")
	}
	s.cv = tags.Value("cv")
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
		h.Add(s.results)
		h.Add(s.message)
		if i < len(sets)-1 {
			h.Add(s.seal)
		}
	}
	return h.Sum(seal)
}
