package simulation

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// Domains that have no hosts.
const (
	noDomain   = "nowhere.example" // does not exist
	nullDomain = "nomail.example"  // has a null MX
)

// A resolver is the DNS. Domain dN.example has the MX hosts mxN and mxN+1. In some
// minutes the servers fail or do not answer.
type resolver struct {
	w     *world
	mu    sync.Mutex // guards asked
	asked map[string]int
}

// Lookup implements routing.Resolver.
func (r *resolver) Lookup(ctx context.Context, name string, qtype uint16) (*routing.Answer, error) {
	name = strings.TrimSuffix(name, ".")
	key := name + " " + dns.TypeToString[qtype]
	r.mu.Lock()
	r.asked[key]++
	rnd := r.w.rand(fmt.Sprintf("lookup %s %d", key, r.asked[key]))
	r.mu.Unlock()
	took := time.Millisecond + time.Duration(rnd.Int64N(int64(50*time.Millisecond)))
	if r.w.healed.Load() {
		return r.answer(ctx, took, name, qtype)
	}
	switch rnd.IntN(20) {
	case 0:
		if err := wait(ctx, took); err != nil {
			return nil, err
		}
		return nil, &routing.DNSError{Problem: routing.DNSFailure, Name: name, Type: qtype, Detail: "SERVFAIL"}
	case 1:
		if err := wait(ctx, 10*time.Second+took); err != nil {
			return nil, err
		}
		return nil, &routing.DNSError{Problem: routing.DNSUnavailable, Name: name, Type: qtype}
	case 2:
		took += 5 * time.Second
	}
	return r.answer(ctx, took, name, qtype)
}

func (r *resolver) answer(ctx context.Context, took time.Duration, name string, qtype uint16) (*routing.Answer, error) {
	if err := wait(ctx, took); err != nil {
		return nil, err
	}
	a := &routing.Answer{Name: name, Expires: time.Now().Add(5 * time.Minute)}
	head := dns.RR_Header{Name: name + ".", Rrtype: qtype, Class: dns.ClassINET, Ttl: 300}
	switch qtype {
	case dns.TypeMX:
		for i, host := range r.w.hostsOf(name) {
			a.Records = append(a.Records, &dns.MX{Hdr: head, Preference: uint16(10 * (i + 1)), Mx: host + "."})
		}
		if name == nullDomain {
			a.Records = append(a.Records, &dns.MX{Hdr: head, Mx: "."})
		}
	case dns.TypeA:
		if h := r.w.host(name); h != nil {
			a.Records = append(a.Records, &dns.A{Hdr: head, A: net.IP(h.machine.addr.AsSlice())})
		}
	}
	switch {
	case len(a.Records) > 0:
		return a, nil
	case name == noDomain:
		return nil, &routing.DNSError{Problem: routing.NoSuchName, Name: name, Type: qtype}
	}
	return nil, &routing.DNSError{Problem: routing.NoRecord, Name: name, Type: qtype}
}
