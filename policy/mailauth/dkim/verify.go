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
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// A Verifier verifies signatures. The zero value is ready for use. A Verifier is
// safe for concurrent use; its fields must not change after the first use.
type Verifier struct {
	// Resolver looks up the keys in the DNS. Default: that of the
	// gateway.Gateway. If there is none, a zero policy.NetResolver, which uses
	// net.DefaultResolver.
	Resolver Resolver
	// MaxSignatures is the maximum number of signatures of one message that are
	// verified, in the order of the header. Default: 10.
	MaxSignatures int
	// Timeout limits the time for the DNS queries of one message. If it expires,
	// the result is TempError. Default: 20 seconds, the limit that RFC 7208,
	// 4.6.4 has for SPF.
	Timeout time.Duration

	keys dkimsig.KeyCache
}

// A Resolver looks up records in the DNS. It is the same type as
// policy.Resolver and routing.Resolver. A routing.DNSResolver queries name
// servers and caches their answers; a policy.NetResolver uses a net.Resolver.
// To write another one, see routing.Resolver.
type Resolver = resolver.Resolver

// Verify calls the Verify method of a zero [Verifier].
func Verify(ctx context.Context, r io.Reader) (*Verdict, error) { return new(Verifier).Verify(ctx, r) }

// Verify reads a message from r and verifies its signatures. The message should
// have CRLF line ends. A bare LF counts as CRLF, and a bare CR as a space. Verify
// returns an error, and no verdict, if r fails or the header is longer than 1
// MiB. All other problems are in the verdict.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) (*Verdict, error) {
	fields, body, err := openSource(r)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	verdict, _, err := v.verify(ctx, fields, body)
	return verdict, err
}

// verify parses the signatures, looks up the keys of the valid ones concurrently,
// and verifies them. It reads the body once for all signatures. sums are the
// hashes of the body for each canonical form that a valid signature has.
func (v *Verifier) verify(ctx context.Context, fields [][]byte, body source) (verdict *Verdict, sums [2][]byte, err error) {
	verdict = new(Verdict)
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
		return verdict, sums, nil
	}
	now := time.Now()
	candidates := make([]*candidate, len(signatures))
	for i, field := range signatures {
		candidates[i] = parse(field, now)
	}
	v.findKeys(ctx, open(candidates))
	if err := check(open(candidates), dkimsig.NewHeader(fields), body); err != nil {
		return nil, sums, fmt.Errorf("dkim: %w", err)
	}
	for _, c := range candidates {
		verdict.Signatures = append(verdict.Signatures, c.Signature)
		if c.Result == Pass {
			sums[c.bodyForm] = c.bodyHash
		}
	}
	return verdict, sums, nil
}

// open returns the candidates that have no result yet.
func open(candidates []*candidate) []*candidate {
	return slices.DeleteFunc(slices.Clone(candidates), func(c *candidate) bool { return c.Result != "" })
}

// findKeys looks up the keys, each in its own goroutine. There are at most
// MaxSignatures goroutines, and each writes only to its candidate.
func (v *Verifier) findKeys(ctx context.Context, candidates []*candidate) {
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, c := range candidates {
		if i == len(candidates)-1 { // no goroutine for the last one: most messages have only one
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
	key, err := v.keys.Lookup(ctx, v.Resolver, c.Selector, domain)
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
		c.conclude(PermError, fmt.Errorf("a=%s, but the key is for %s", c.Algorithm, key.Algorithm()))
	}
	if key.Strict && !c.strict() {
		c.conclude(PermError, fmt.Errorf("the key does not allow i=%s (t=s)", c.Identity))
	}
}

// check verifies the candidates. It returns an error if it cannot read the body.
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

// checkBoth verifies theirs with go-msgauth and ours with own.go. It reads the
// body once. Each candidate of theirs reads it from a pipe in its own goroutine,
// which writes only to its candidate and its error.
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
			io.Copy(io.Discard, r) // otherwise the others would block
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
