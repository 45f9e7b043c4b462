package arc

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
)

// A Verifier verifies chains. The zero value is ready for use. A Verifier is safe
// for concurrent use; its fields must not change after the first use.
type Verifier struct {
	// Resolver looks up the keys in the DNS. Default: that of the
	// gateway.Gateway. If there is none, a zero policy.NetResolver, which uses
	// net.DefaultResolver.
	Resolver Resolver
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

// Verify reads a message from r and verifies its chain. The message should have
// CRLF line ends. A bare LF counts as CRLF, and a bare CR as a space. Verify
// returns an error, and no verdict, if r fails or the header is longer than 1
// MiB. All other problems are in the verdict.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) (*Verdict, error) {
	header, body, err := read(r)
	if err != nil {
		return nil, err
	}
	return v.verify(ctx, header, body)
}

// A bodySum returns the hash of the canonical form of a body. One that reads the
// body from an io.Reader can be called once.
type bodySum func(dkimsig.Canon) ([]byte, error)

func read(r io.Reader) (*dkimsig.Header, bodySum, error) {
	br := bufio.NewReader(content.NewCanonicalReader(r))
	fields, err := dkimsig.ReadFields(br)
	if err != nil {
		return nil, nil, fmt.Errorf("arc: %w", err)
	}
	return dkimsig.NewHeader(fields), func(form dkimsig.Canon) ([]byte, error) {
		hash := dkimsig.NewBodyHash(form)
		if _, err := io.Copy(hash, br); err != nil {
			return nil, err
		}
		return hash.Sum(), nil
	}, nil
}

// verify implements RFC 8617, 5.2. It returns an error if it cannot read the
// body.
func (v *Verifier) verify(ctx context.Context, header *dkimsig.Header, body bodySum) (*Verdict, error) {
	sets, highest, err := readChain(header)
	verdict := &Verdict{Result: Fail, Instances: highest}
	if err != nil {
		verdict.Err = fmt.Errorf("arc: %w", err)
		return verdict, nil
	}
	if highest == 0 {
		verdict.Result = None
		return verdict, nil
	}
	timeout := v.Timeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = v.checkSets(ctx, header, sets, verdict, body)
	var broken *chainError
	switch {
	case err == nil:
		verdict.Result = Pass
		for _, s := range sets {
			_, text, _ := strings.Cut(dkimsig.FieldBody(s.results.field), ";")
			verdict.RecordedResults = append(verdict.RecordedResults, strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "")))
		}
		return verdict, nil
	case !errors.As(err, &broken):
		return nil, fmt.Errorf("arc: %w", err)
	case errors.Is(err, dkimsig.ErrTemporary):
		verdict.Result = TempError
	}
	verdict.Sealers = nil
	verdict.Err = err
	return verdict, nil
}

// A chainError is an error of one instance, and not one of reading the body.
type chainError struct {
	what string
	i    int
	err  error
}

func (e *chainError) Error() string { return fmt.Sprintf("arc: %s %d: %v", e.what, e.i, e.err) }
func (e *chainError) Unwrap() error { return e.err }

func (v *Verifier) checkSets(ctx context.Context, header *dkimsig.Header, sets []set, verdict *Verdict, body bodySum) error {
	seals := make([]*signature, len(sets))
	for i, s := range sets {
		seal, err := readSeal(&s.seal, i+1)
		if err != nil {
			return &chainError{"seal", i + 1, err}
		}
		if seal.cv == "fail" {
			verdict.final = i == len(sets)-1
			return &chainError{"seal", i + 1, errors.New("cv=fail: the sealer found an invalid chain")}
		}
		seals[i] = seal
		verdict.Sealers = append(verdict.Sealers, seal.domain)
	}
	last := len(sets)
	if err := v.checkMessage(ctx, header, &sets[last-1].message, body); err != nil {
		var e *readError
		if errors.As(err, &e) {
			return err
		}
		return &chainError{"message signature", last, err}
	}
	return v.checkSeals(ctx, sets, seals)
}

// A readError is an error of reading the body.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// checkMessage verifies the latest message signature. The earlier ones may be
// invalid by now.
func (v *Verifier) checkMessage(ctx context.Context, header *dkimsig.Header, f *tagged, body bodySum) error {
	s, err := readMessageSignature(f)
	if err != nil {
		return err
	}
	sum, err := body(s.body)
	if err != nil {
		return &readError{err}
	}
	if subtle.ConstantTimeCompare(sum, s.bodyHash) != 1 {
		return errors.New("the body does not match the signature")
	}
	h := dkimsig.NewHeaderHash(s.header)
	h.AddAll(header.Select(s.names, nil))
	return v.check(ctx, s, h.Sum(dkimsig.WithoutValue(s.field, s.bStart, s.bEnd)))
}

// checkSeals verifies all seals, each in its own goroutine, because each waits
// for DNS. A goroutine writes only to its element of errs.
func (v *Verifier) checkSeals(ctx context.Context, sets []set, seals []*signature) error {
	errs := make([]error, len(seals))
	check := func(i int) {
		s := seals[i]
		sum := sealSum(sets[:i+1], dkimsig.WithoutValue(s.field, s.bStart, s.bEnd))
		if err := v.check(ctx, s, sum); err != nil {
			errs[i] = &chainError{"seal", i + 1, err}
		}
	}
	var wg sync.WaitGroup
	last := len(seals) - 1
	for i := range last {
		wg.Go(func() { check(i) })
	}
	check(last) // no goroutine for the last one: most chains have only one
	wg.Wait()
	var temporary error
	for _, err := range errs {
		if err != nil && !errors.Is(err, dkimsig.ErrTemporary) {
			return err // one invalid seal breaks the chain
		}
		if err != nil {
			temporary = err
		}
	}
	return temporary
}

func (v *Verifier) check(ctx context.Context, s *signature, sum []byte) error {
	domain, err := addr.Domain(s.domain)
	if err != nil {
		return err
	}
	key, err := v.keys.Lookup(ctx, v.Resolver, s.selector, domain)
	if err != nil {
		return err
	}
	return dkimsig.Verify(key, s.algorithm, sum, s.sig)
}
