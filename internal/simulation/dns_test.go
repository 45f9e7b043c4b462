package simulation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// Domains that have no hosts.
const (
	noDomain   = "nowhere.example" // does not exist
	nullDomain = "nomail.example"  // has a null MX
)

// Domains with connectors of their own.
const (
	boxDomain  = "box.example"  // LMTP
	etrnDomain = "etrn.example" // held until ETRN
	atrnDomain = "atrn.example" // held until ATRN, or ETRN of its account
)

// A resolver is the DNS. Domain dN.example has the MX hosts mxN and mxN+1. In some
// minutes the servers fail or do not answer.
type resolver struct {
	w     *world
	mu    sync.Mutex // guards asked
	asked map[string]int
}

// Lookup implements routing.Resolver.
func (r *resolver) Lookup(ctx context.Context, name string, t routing.RecordType) (*routing.Answer, error) {
	name = strings.TrimSuffix(name, ".")
	key := name + " " + t.String()
	r.mu.Lock()
	r.asked[key]++
	rnd := r.w.rand(fmt.Sprintf("lookup %s %d", key, r.asked[key]))
	r.mu.Unlock()
	took := time.Millisecond + time.Duration(rnd.Int64N(int64(50*time.Millisecond)))
	if r.w.healed.Load() {
		return r.answer(ctx, took, name, t)
	}
	switch rnd.IntN(20) {
	case 0:
		if err := wait(ctx, took); err != nil {
			return nil, err
		}
		return nil, &routing.LookupError{Problem: routing.DNSFailure, Name: name, Type: t, Detail: "SERVFAIL"}
	case 1:
		if err := wait(ctx, 10*time.Second+took); err != nil {
			return nil, err
		}
		return nil, &routing.LookupError{Problem: routing.DNSUnavailable, Name: name, Type: t}
	case 2:
		took += 5 * time.Second
	}
	return r.answer(ctx, took, name, t)
}

func (r *resolver) answer(ctx context.Context, took time.Duration, name string, t routing.RecordType) (*routing.Answer, error) {
	if err := wait(ctx, took); err != nil {
		return nil, err
	}
	a := &routing.Answer{Name: name, Expires: time.Now().Add(5 * time.Minute)}
	switch t {
	case routing.TypeMX:
		for i, host := range r.w.hostsOf(name) {
			a.MX = append(a.MX, routing.MX{Preference: uint16(10 * (i + 1)), Host: host})
		}
		if name == nullDomain {
			a.MX = append(a.MX, routing.MX{Host: "."})
		}
	case routing.TypeA:
		if h := r.w.host(name); h != nil {
			a.Addrs = append(a.Addrs, h.machine.addr)
		}
	}
	switch {
	case a.Has(t):
		return a, nil
	case name == noDomain:
		return nil, &routing.LookupError{Problem: routing.NoSuchName, Name: name, Type: t}
	}
	return nil, &routing.LookupError{Problem: routing.NoRecord, Name: name, Type: t}
}
