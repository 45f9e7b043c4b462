package dnstest

import (
	"context"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/resolver/wire"
)

// Lookup answers from the records, without a message. It implements the Resolver
// of package routing and of the other packages, so that a test can use a Server
// where it needs a Resolver. Faults apply; an answer that never arrives is
// Unavailable at once. There is no cache: Expires is the TTL of the record.
func (s *Server) Lookup(ctx context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	name = trimDot(name)
	switch {
	case !wire.Known(t):
		return nil, &resolver.Error{Problem: resolver.Failure, Name: name, Type: t, Detail: "a Resolver does not look up this type"}
	case !wire.Valid(name):
		return nil, &resolver.Error{Problem: resolver.BadName, Name: name, Type: t}
	}
	q := new(dns.Msg).SetQuestion(wire.FQDN(name), uint16(t))
	q.AuthenticatedData = true // asks for the AD bit: RFC 6840, 5.7
	reply, f := s.reply(q)
	if err := s.delay(ctx, f); err != nil {
		return nil, &resolver.Error{Problem: resolver.Unavailable, Name: name, Type: t, Err: err}
	}
	if f.Drop || f.NoTCP && f.Truncate || f.apply(reply, false) != nil {
		return nil, &resolver.Error{Problem: resolver.Unavailable, Name: name, Type: t}
	}
	a, ttl, err := wire.Answer(reply, name, t, true)
	if err != nil {
		return nil, err
	}
	a.Expires = time.Now().Add(ttl)
	return a, nil
}

// Authenticated returns true: answers about the names of Secure are Secure.
func (s *Server) Authenticated() bool { return true }

func trimDot(name string) string {
	if n := len(name); n > 0 && name[n-1] == '.' {
		return name[:n-1]
	}
	return name
}
