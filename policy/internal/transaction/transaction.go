package transaction

import (
	"net"
	"net/netip"
	"weak"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// values are the values of one transaction. A session keeps them until another
// transaction has values. The message is a weak pointer: otherwise a session that
// waits for its next message would keep the content of the last one in memory.
type values struct {
	message weak.Pointer[smtpserver.Message]
	byType  map[any]any // key[T]{}: *T
}

type valuesKey struct{}

type key[T any] struct{}

// valuesOf returns the values of the transaction with the message m, or nil.
func valuesOf(s *smtpserver.Session, m *smtpserver.Message) *values {
	v, _ := s.Value(valuesKey{}).(*values)
	if v == nil || m == nil || v.message.Value() != m {
		return nil
	}
	return v
}

// Set stores a value for the message m. Each type T has one value; Set replaces
// it.
func Set[T any](s *smtpserver.Session, m *smtpserver.Message, value *T) {
	v := valuesOf(s, m)
	if v == nil {
		v = &values{weak.Make(m), make(map[any]any)}
		s.SetValue(valuesKey{}, v)
	}
	v.byType[key[T]{}] = value
}

// Get returns the value of type T that was stored for m, or nil.
func Get[T any](s *smtpserver.Session, m *smtpserver.Message) *T {
	v := valuesOf(s, m)
	if v == nil {
		return nil
	}
	value, _ := v.byType[key[T]{}].(*T)
	return value
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
	raw := make([][]byte, 0, 16) // most headers have fewer
	for f := range m.Header.All() {
		raw = append(raw, f)
	}
	return raw
}
