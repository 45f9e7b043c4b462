package routing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver/wire"
)

// udpSize is the largest UDP answer that is never fragmented (DNS flag day
// 2020).
const udpSize = 1232

// errTooLarge: a UDP answer does not fit, but has no TC bit.
var errTooLarge = errors.New("answer too large for UDP, or malformed")

// ask sends one query to one server: over UDP with EDNS, without EDNS if the
// server does not support it, and over TCP if the answer does not fit.
func (r *DNSResolver) ask(ctx context.Context, c *dnsConfig, s *nameServer, key dnsKey, edns bool) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(wire.FQDN(key.name), uint16(key.qtype))
	q.AuthenticatedData = r.TrustAD // asks for the AD bit: RFC 6840, 5.7
	var reply *dns.Msg
	var err error
	if edns && time.Now().UnixNano() >= s.plain.Load() {
		reply, err = r.askEDNS(ctx, c, s, q)
	} else {
		reply, err = r.exchange(ctx, c.timeout, "udp", s.addr, q)
	}
	if err == nil && reply.Truncated || errors.Is(err, errTooLarge) {
		return r.exchange(ctx, c.timeout, "tcp", s.addr, q)
	}
	return reply, err
}

// askEDNS sends a query over UDP with EDNS, and once more without EDNS: if the
// server answers that it does not support EDNS (RFC 6891, 7) or fails, or
// after half of the timeout. The first answer counts.
func (r *DNSResolver) askEDNS(ctx context.Context, c *dnsConfig, s *nameServer, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	type answer struct {
		reply *dns.Msg
		err   error
		edns  bool
	}
	answers := make(chan answer, 2) // one for each query: no goroutine blocks
	send := func(q *dns.Msg) {
		reply, err := r.exchange(ctx, c.timeout, "udp", s.addr, q)
		answers <- answer{reply, err, q.IsEdns0() != nil}
	}
	extended := q.Copy()
	extended.SetEdns0(udpSize, false)
	go send(extended)
	half := time.NewTimer(c.timeout / 2)
	defer half.Stop()

	select {
	case a := <-answers:
		if a.err == nil && withoutEDNS(a.reply) {
			if reply, err := r.exchange(ctx, c.timeout, "udp", s.addr, q); err == nil || errors.Is(err, errTooLarge) {
				return reply, err
			}
		}
		return a.reply, a.err
	case <-half.C:
		go send(q)
	}
	a := <-answers
	if a.err != nil && !errors.Is(a.err, errTooLarge) {
		a = <-answers
	}
	if a.err == nil && !a.edns {
		s.plain.Store(time.Now().Add(plainTime).UnixNano())
	}
	return a.reply, a.err
}

// withoutEDNS reports whether EDNS may be the cause of a reply: servers
// without EDNS return these codes (RFC 6891, 7), and some middleboxes fail.
func withoutEDNS(reply *dns.Msg) bool {
	switch reply.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeServerFailure, dns.RcodeBadVers:
		return true
	}
	return false
}

// exchange sends q and waits for the matching reply. Each query has its own
// connection, so that over UDP an attacker must also guess the port.
func (r *DNSResolver) exchange(ctx context.Context, timeout time.Duration, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, err := dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()

	conn := &dns.Conn{Conn: c, UDPSize: udpSize}
	if err := conn.WriteMsg(q); err != nil {
		return nil, ctxOr(ctx, err)
	}
	for range 100 { // packets that are no reply to q are ignored, up to a limit
		reply, err := conn.ReadMsg()
		switch {
		case reply != nil && err != nil && reply.Id == q.Id && network == "udp":
			return nil, fmt.Errorf("%w: %w", errTooLarge, err)
		case ctx.Err() != nil:
			return nil, ctxOr(ctx, err)
		case err != nil && network == "udp" && isFormat(err):
			continue
		case err != nil:
			return nil, err
		case answers(reply, q):
			return reply, nil
		case network == "tcp":
			return nil, fmt.Errorf("the server replied to a different query")
		}
	}
	return nil, fmt.Errorf("too many replies to different queries")
}

func isFormat(err error) bool {
	_, is := err.(*dns.Error)
	return is
}

// ctxOr returns the context's error, if there is one, instead of the error of
// the connection that the context has closed.
func ctxOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// answers reports whether reply is a reply to q.
func answers(reply, q *dns.Msg) bool {
	if reply.Id != q.Id || !reply.Response || len(reply.Question) > 1 {
		return false
	}
	if len(reply.Question) == 0 { // some servers omit it in errors
		return reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError
	}
	a, b := reply.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
