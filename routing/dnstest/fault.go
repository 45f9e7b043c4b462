package dnstest

import (
	"time"

	"github.com/miekg/dns"
)

// A Fault is a way in which the server misbehaves. Several may come together.
type Fault struct {
	// Rcode is the response code of an answer without records, for example
	// dns.RcodeServerFailure, dns.RcodeRefused.
	Rcode int
	// Delay comes before the answer.
	Delay time.Duration
	// Drop gives no answer; over TCP the connection is closed.
	Drop bool
	// Truncate sets the TC bit on an answer over UDP and leaves its records
	// out, so that the client comes again over TCP.
	Truncate bool
	// NoTCP closes TCP connections without an answer.
	NoTCP bool
	// Oversize sends the whole answer over UDP, also where it is larger than
	// the client allows, without the TC bit.
	Oversize bool
	// OnlyEDNS limits the fault to queries with EDNS (RFC 6891): a server, or
	// a firewall before it, that does not know EDNS.
	OnlyEDNS bool
	// Mangle changes the finished answer in any other way.
	Mangle func(*dns.Msg)
	// Times is how many queries are served so; 0 means all.
	Times int
}

type fault struct {
	Fault
	what question
	left int // of Times
}

// Fault makes the server misbehave when it is asked about name: for one type
// ("MX", "TLSA", ...) or, where qtype is "", for all. The latest fault that
// fits a query counts; the zero Fault mends what earlier ones broke.
func (s *Server) Fault(name, qtype string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := question{canonical(name), dns.TypeANY}
	if qtype != "" {
		what.qtype = dns.StringToType[qtype]
	}
	s.faults = append(s.faults, &fault{Fault: f, what: what, left: f.Times})
}

// fault finds the fault that fits a query. The caller holds s.mu.
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

func (f *Fault) apply(reply *dns.Msg, packet bool) {
	if f.Rcode != dns.RcodeSuccess {
		reply.Rcode = f.Rcode
		reply.Answer, reply.Ns, reply.AuthenticatedData = nil, nil, false
	}
	if f.Truncate && packet {
		reply.Truncated = true
		reply.Answer = nil
	}
	if f.Mangle != nil {
		f.Mangle(reply)
	}
}
