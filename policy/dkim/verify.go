package dkim

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

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
	return v.verify(ctx, fields, br)
}

// verify does the work: read the signatures, fetch the keys of those that are
// in order, at the same time, and have go-msgauth check them, the body read
// once for all.
func (v *Verifier) verify(ctx context.Context, fields [][]byte, body io.Reader) (*Verdict, error) {
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
	if err := check(open(candidates), dkimsig.NewHeader(fields), newBody(body)); err != nil {
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
	if key.Strict && !c.strict() {
		c.conclude(PermError, fmt.Errorf("the key does not let i=%s sign", c.Identity))
	}
}

// check has go-msgauth check the candidates. Where there are several each gets
// the body through a pipe, in a goroutine that writes only to its candidate
// and its error. The error is one of reading the body.
func check(candidates []*candidate, header *dkimsig.Header, b *body) error {
	if len(candidates) == 0 {
		return nil
	}
	if len(candidates) == 1 {
		return candidates[0].check(header, b)
	}
	errs := make([]error, len(candidates))
	pipes := make([]*io.PipeWriter, len(candidates))
	all := make([]io.Writer, len(candidates))
	var wg sync.WaitGroup
	for i, c := range candidates {
		r, w := io.Pipe()
		pipes[i], all[i] = w, w
		wg.Go(func() {
			errs[i] = c.check(header, r)
			io.Copy(io.Discard, r) // or the others would wait for ever
		})
	}
	_, err := b.WriteTo(io.MultiWriter(all...))
	for _, p := range pipes {
		p.CloseWithError(err)
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// check has go-msgauth check one signature: the only one in the header that it
// is shown, with the key that was found. The error is one of reading the body.
func (c *candidate) check(header *dkimsig.Header, body io.Reader) error {
	fields, err := section(c.field, header.Select(c.Fields, c.field), c.relaxed)
	if err != nil {
		c.conclude(Policy, err)
		return nil
	}
	checked, err := msgauth.VerifyWithOptions(&message{fields, body}, &msgauth.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{c.key.Record}, nil },
		MaxVerifications: 1, // the first, c.field; others may be among the fields that it signs
	})
	var tooMuch limitError
	switch {
	case errors.As(err, &tooMuch):
		c.conclude(Policy, err)
		return nil
	case err != nil && err != msgauth.ErrTooManySignatures:
		return err
	}
	switch c.Err = checked[0].Err; {
	case c.Err == nil:
		c.Result = Pass
	case msgauth.IsPermFail(c.Err):
		c.Result = PermError
	default:
		c.Result = Fail
	}
	return nil
}
