package dkim

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
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
// first, with CRLF line ends. An error is one of r's or says that the header
// is longer than 1 MiB; there is no verdict then.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) (*Verdict, error) {
	br := bufio.NewReader(r)
	fields, err := dkimsig.ReadFields(br)
	if err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	return v.verify(ctx, fields, func(w io.Writer) error {
		_, err := io.Copy(w, br)
		return err
	})
}

// verify does the work: read the signatures, hash the body once for all of
// them, fetch the keys of those whose body hash fits, at the same time, and
// check them. body writes the whole body.
func (v *Verifier) verify(ctx context.Context, fields [][]byte, body func(io.Writer) error) (*Verdict, error) {
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
	if err := checkBodies(candidates, body); err != nil {
		return nil, fmt.Errorf("dkim: %w", err)
	}
	v.checkSignatures(ctx, dkimsig.NewHeader(fields), candidates)
	for _, c := range candidates {
		verdict.Signatures = append(verdict.Signatures, c.Signature)
	}
	return verdict, nil
}

// checkBodies compares the body hashes of those that have no result yet.
func checkBodies(candidates []*candidate, body func(io.Writer) error) error {
	type form struct {
		canon  dkimsig.Canon
		length int64
	}
	type sum struct {
		hash   []byte
		length int64
	}
	hashes := make(map[form]*dkimsig.BodyHash)
	var all []io.Writer
	for _, c := range candidates {
		f := form{c.body, c.length}
		if c.Result == "" && hashes[f] == nil {
			hashes[f] = dkimsig.NewBodyHash(f.canon, f.length)
			all = append(all, hashes[f])
		}
	}
	if len(all) == 0 {
		return nil
	}
	w := all[0]
	if len(all) > 1 {
		w = io.MultiWriter(all...)
	}
	if err := body(w); err != nil {
		return err
	}
	sums := make(map[form]sum, len(hashes))
	for f, h := range hashes {
		hash, length := h.Sum()
		sums[f] = sum{hash, length}
	}
	for _, c := range candidates {
		if c.Result != "" {
			continue
		}
		s := sums[form{c.body, c.length}]
		switch {
		case c.length > s.length:
			c.conclude(PermError, fmt.Errorf("l=%d, but the body has %d octets", c.length, s.length))
		case subtle.ConstantTimeCompare(s.hash, c.hash) != 1:
			c.conclude(Fail, errors.New("the body is not the one that was signed"))
		case c.length >= 0 && c.length < s.length:
			c.conclude(Policy, fmt.Errorf("only the first %d of the body's %d octets are signed", c.length, s.length))
		}
	}
	return nil
}

// checkSignatures fetches the keys and checks the signatures, each in a
// goroutine of its own, since they wait for DNS. A goroutine writes only to
// its candidate; there are at most MaxSignatures.
func (v *Verifier) checkSignatures(ctx context.Context, header *dkimsig.Header, candidates []*candidate) {
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var open []*candidate
	for _, c := range candidates {
		if c.Result == "" {
			open = append(open, c)
		}
	}
	var wg sync.WaitGroup
	for i, c := range open {
		if i == len(open)-1 { // the last one here: most messages have one
			v.check(ctx, header, c)
			break
		}
		wg.Go(func() { v.check(ctx, header, c) })
	}
	wg.Wait()
}

func (v *Verifier) check(ctx context.Context, header *dkimsig.Header, c *candidate) {
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
	c.Testing = key.Testing
	if key.Strict && !c.strict() {
		c.conclude(PermError, fmt.Errorf("the key does not let i=%s sign", c.Identity))
		return
	}
	hash := dkimsig.NewHeaderHash(c.header)
	hash.AddNames(header, c.Fields)
	sum := hash.Sum(dkimsig.WithoutValue(c.field, c.bStart, c.bEnd))
	if err := key.Verify(c.Algorithm, sum, c.sig); err != nil {
		c.conclude(Fail, err)
		return
	}
	c.Result = Pass
}
