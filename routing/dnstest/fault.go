package dnstest

import (
	"time"

	"github.com/miekg/dns"
)

// Response codes for Fault.Rcode (RFC 1035, 4.1.1). Any other code of the
// DNS can be used too.
const (
	FormErr  = dns.RcodeFormatError
	ServFail = dns.RcodeServerFailure
	NotImp   = dns.RcodeNotImplemented
	Refused  = dns.RcodeRefused
)

// malformed is the result of Fault.Mangle if that is not a DNS message.
type malformed struct {
	message []byte // empty: no answer is sent
	err     error
}

func (m *malformed) Error() string {
	if m.err == nil {
		return "no answer"
	}
	return m.err.Error()
}

// A Fault describes how the server misbehaves. The fields can be combined.
type Fault struct {
	// Rcode is the response code of an answer without records, for example
	// ServFail or Refused.
	Rcode int
	// Delay is the time before the answer.
	Delay time.Duration
	// Drop sends no answer. Over TCP, the server closes the connection.
	Drop bool
	// Truncate sets the TC bit in a UDP answer and omits its records, so that
	// the client repeats the query over TCP.
	Truncate bool
	// NoTCP closes TCP connections without an answer.
	NoTCP bool
	// Oversize sends the whole answer over UDP without the TC bit, even if it
	// is larger than the client allows.
	Oversize bool
	// OnlyEDNS limits the fault to queries with EDNS (RFC 6891). It simulates
	// a server or a firewall that does not support EDNS.
	OnlyEDNS bool
	// Mangle changes the complete answer, a DNS message (RFC 1035, 4), before
	// it is sent. It returns the message to send. If that is empty, no answer is
	// sent.
	Mangle func(message []byte) []byte
	// Times is the number of queries that the fault applies to; 0 means all.
	Times int
}

type fault struct {
	Fault
	what question
	left int // of Times
}

// Fault makes the server misbehave for queries for name. qtype is a type
// ("MX", "TLSA", ...), or "" for all types. The latest fault that matches a
// query applies. The zero Fault cancels earlier faults.
func (s *Server) Fault(name, qtype string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := question{canonical(name), dns.TypeANY}
	if qtype != "" {
		what.qtype = dns.StringToType[qtype]
	}
	s.faults = append(s.faults, &fault{Fault: f, what: what, left: f.Times})
}

// fault returns the fault for a query. The caller holds s.mu.
func (s *Server) fault(what question, edns bool) Fault {
	for i := len(s.faults) - 1; i >= 0; i-- {
		f := s.faults[i]
		if f.what.name != what.name || f.what.qtype != dns.TypeANY && f.what.qtype != what.qtype {
			continue
		}
		if f.OnlyEDNS && !edns {
			continue
		}
		if f.Times > 0 {
			if f.left == 0 {
				continue
			}
			f.left--
		}
		return f.Fault
	}
	return Fault{}
}

// apply changes the reply. The error is a *malformed if the result is not a DNS
// message.
func (f *Fault) apply(reply *dns.Msg, packet bool) error {
	if f.Rcode != dns.RcodeSuccess {
		reply.Rcode = f.Rcode
		reply.Answer, reply.Ns, reply.AuthenticatedData = nil, nil, false
	}
	if f.Truncate && packet {
		reply.Truncated = true
		reply.Answer = nil
	}
	if f.Mangle == nil {
		return nil
	}
	message, err := reply.Pack()
	if err != nil {
		return err
	}
	message = f.Mangle(message)
	if len(message) == 0 {
		return &malformed{}
	}
	changed := &dns.Msg{Compress: reply.Compress}
	if err := changed.Unpack(message); err != nil {
		return &malformed{message, err}
	}
	*reply = *changed
	return nil
}
