package routing

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the largest answer over UDP that needs no fragments anywhere
// (DNS flag day 2020).
const udpSize = 1232

// ask puts one question to one server: over UDP, over TCP where the answer
// does not fit, and without EDNS where the server is too old for it.
func (r *DNSResolver) ask(ctx context.Context, server string, key dnsKey) (*dns.Msg, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(key.name), key.qtype)
	q.SetEdns0(udpSize, false)
	q.AuthenticatedData = r.TrustAD // "tell me whether": RFC 6840, 5.7
	reply, err := r.exchange(ctx, "udp", server, q)
	if err == nil && reply.Rcode == dns.RcodeFormatError {
		q.Extra = nil
		reply, err = r.exchange(ctx, "udp", server, q)
	}
	if err == nil && reply.Truncated {
		reply, err = r.exchange(ctx, "tcp", server, q)
	}
	return reply, err
}

// exchange sends q over a connection of its own, so that over UDP a forger
// has to guess the port too, and waits for the reply that belongs to it.
func (r *DNSResolver) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = defaultDNSTimeout
	}
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
	for range 100 { // strangers' packets are ignored, but not without end
		reply, err := conn.ReadMsg()
		switch {
		case reply != nil && err != nil && reply.Id == q.Id && network == "udp":
			return nil, fmt.Errorf("answer not understood: %w", err)
		case ctx.Err() != nil:
			return nil, ctxOr(ctx, err)
		case err != nil && network == "udp" && isFormat(err):
			continue
		case err != nil:
			return nil, err
		case answers(reply, q):
			return reply, nil
		case network == "tcp":
			return nil, fmt.Errorf("the answer is to another question")
		}
	}
	return nil, fmt.Errorf("too many answers to other questions")
}

func isFormat(err error) bool {
	_, is := err.(*dns.Error)
	return is
}

// ctxOr prefers "deadline exceeded" to the words of the connection that was
// broken off for it.
func ctxOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// answers says whether reply belongs to q.
func answers(reply, q *dns.Msg) bool {
	if reply.Id != q.Id || !reply.Response || len(reply.Question) > 1 {
		return false
	}
	if len(reply.Question) == 0 { // some servers leave it out of errors
		return reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError
	}
	a, b := reply.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}
