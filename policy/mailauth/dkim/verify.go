package dkim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// A Verifier verifies signatures. Its zero value is ready for use. It may be
// used by many sessions at once; its fields must not change meanwhile.
type Verifier struct {
	// Resolver finds the keys; a *net.Resolver will do.
	// Default net.DefaultResolver.
	Resolver Resolver
	// MaxSignatures of one message are verified, the topmost first.
	// Default 10.
	MaxSignatures int
	// Timeout bounds the wait for DNS for one message. Default 20 s, as for
	// SPF; what is not known then is a TempError.
	Timeout time.Duration
}

// Resolver is the part of *net.Resolver that finds keys. It is asked by several
// goroutines at once. Where nothing exists the error is a *net.DNSError with
// IsNotFound; every other error is taken as a temporary one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Verify verifies a message's signatures with a zero [Verifier].
func Verify(ctx context.Context, r io.Reader) (*Verdict, error) { return new(Verifier).Verify(ctx, r) }

// Verify verifies the signatures of a message, which it reads from r, header
// first, with CRLF line ends. A bare LF counts as CRLF and a bare CR as a
// space, which is how package smtpclient sends them. An error is one of r's or
// says that the header is longer than 1 MiB; there is no verdict then.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) (*Verdict, error) {
	fields, body, err := openSource(r)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return v.verify(ctx, fields, body)
}

// verify reads the signatures, fetches the keys of those that are in order, at
// the same time, and checks them, with the body read once for all.
func (v *Verifier) verify(ctx context.Context, fields [][]byte, body source) (*Verdict, error) {
	verdict := new(Verdict)
	var signatures [][]byte
	for _, field := range fields {
		if dkimsig.IsNamed(field, "dkim-signature") {
			signatures = append(signatures, field)
		}
	}
	limit := v.MaxSignatures
	if limit <= 0 {
		limit = 10
	}
	if n := len(signatures); n > limit {
		verdict.Ignored, signatures = n-limit, signatures[:limit]
	}
	if len(signatures) == 0 {
		return verdict, nil
	}
	now := time.Now()
	candidates := make([]*candidate, len(signatures))
	for i, field := range signatures {
		candidates[i] = parse(field, now)
	}
	v.findKeys(ctx, open(candidates))
	if err := check(open(candidates), dkimsig.NewHeader(fields), body); err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	for _, c := range candidates {
		verdict.Signatures = append(verdict.Signatures, c.Signature)
	}
	return verdict, nil
}

// open are the candidates that have no result yet.
func open(candidates []*candidate) []*candidate {
	return slices.DeleteFunc(slices.Clone(candidates), func(c *candidate) bool { return c.Result != "" })
}

// findKeys fetches the keys, each in a goroutine of its own, since they wait
// for DNS. A goroutine writes only to its candidate; there are at most
// MaxSignatures.
func (v *Verifier) findKeys(ctx context.Context, candidates []*candidate) {
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, c := range candidates {
		if i == len(candidates)-1 { // the last one here: most messages have one
			v.findKey(ctx, c)
			break
		}
		wg.Go(func() { v.findKey(ctx, c) })
	}
	wg.Wait()
}

func (v *Verifier) findKey(ctx context.Context, c *candidate) {
	domain, err := addr.Domain(c.Domain) // RFC 8616: U-labels are looked up as A-labels
	if err != nil {
		c.conclude(Neutral, err)
		return
	}
	key, err := dkimsig.LookupKey(ctx, v.Resolver, c.Selector, domain)
	if err != nil {
		r := PermError
		if errors.Is(err, dkimsig.ErrTemporary) {
			r = TempError
		}
		c.conclude(r, err)
		return
	}
	c.key, c.Testing = key, key.Testing
	if key.Algorithm() != c.Algorithm { // RFC 6376, 6.1.2: not a key for this signature
		c.conclude(PermError, fmt.Errorf("a=%s with a key for %s", c.Algorithm, key.Algorithm()))
	}
	if key.Strict && !c.strict() {
		c.conclude(PermError, fmt.Errorf("the key does not let i=%s sign", c.Identity))
	}
}

// check checks the candidates. The error is one of reading the body.
func check(candidates []*candidate, header *dkimsig.Header, body source) error {
	var theirs, ours []*candidate
	for _, c := range candidates {
		if c.own || tooFolded(c.headerForm, append(header.Select(c.Fields, c.field), c.field)...) {
			ours = append(ours, c)
		} else {
			theirs = append(theirs, c)
		}
	}
	err := checkBoth(theirs, ours, header, body.body)
	if !isBlank(err) {
		return err
	}
	if again := body.again(); again != nil {
		return checkBoth(nil, candidates, header, again)
	}
	for _, c := range candidates {
		c.conclude(Policy, err)
	}
	return nil
}

// checkBoth has go-msgauth check theirs, and our engine ours, with the body
// read once for all. Each of theirs gets it through a pipe, in a goroutine that
// writes only to its candidate and its error.
func checkBoth(theirs, ours []*candidate, header *dkimsig.Header, body io.Reader) error {
	if len(theirs) == 1 && len(ours) == 0 {
		return theirs[0].ask(header, newBody(body))
	}
	var hashes bodyHashes
	var all []io.Writer
	for _, c := range ours {
		if hashes.add(c.bodyForm) {
			all = append(all, hashes[c.bodyForm])
		}
	}
	errs := make([]error, len(theirs))
	pipes := make([]*io.PipeWriter, len(theirs))
	var wg sync.WaitGroup
	for i, c := range theirs {
		r, w := io.Pipe()
		pipes[i], all = w, append(all, w)
		wg.Go(func() {
			errs[i] = c.ask(header, r)
			io.Copy(io.Discard, r) // or the others would wait for it
		})
	}
	if len(theirs) > 0 {
		body = newBody(body)
	}
	_, err := io.Copy(io.MultiWriter(all...), body)
	for _, p := range pipes {
		p.CloseWithError(err)
	}
	wg.Wait()
	if err := cmp.Or(append(errs, err)...); err != nil {
		return err
	}
	sums := hashes.sums()
	for _, c := range ours {
		c.verify(header, sums[c.bodyForm])
	}
	return nil
}
