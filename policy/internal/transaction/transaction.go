package transaction

import (
	"net"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type key[T any] struct{}

// entry is a value in a session with its transaction. The session keeps the value
// after the transaction has ended.
type entry[T any] struct {
	message *smtpserver.Message
	value   *T
}

// Set stores a value for the message m. Each type T has one value; Set replaces
// it.
func Set[T any](s *smtpserver.Session, m *smtpserver.Message, value *T) {
	s.SetValue(key[T]{}, &entry[T]{m, value})
}

// Get returns the value of type T that was stored for m, or nil.
func Get[T any](s *smtpserver.Session, m *smtpserver.Message) *T {
	e, _ := s.Value(key[T]{}).(*entry[T])
	if e == nil || m == nil || e.message != m {
		return nil
	}
	return e.value
}

// ClientIP returns the client's address, an IPv4 address in its own form and
// without a zone. It is invalid if the connection has no IP address.
func ClientIP(s *smtpserver.Session) netip.Addr {
	switch a := s.RemoteAddr().(type) {
	case *net.TCPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return ip.Unmap()
	case nil:
		return netip.Addr{}
	default: // the type of a listener, or no IP address at all
		ap, _ := netip.ParseAddrPort(a.String())
		return ap.Addr().Unmap().WithZone("")
	}
}

// Fields returns the raw header fields of m.
func Fields(m *smtpserver.Message) [][]byte {
	fields := m.Header.Fields()
	raw := make([][]byte, len(fields))
	for i, f := range fields {
		raw[i] = f
	}
	return raw
}
