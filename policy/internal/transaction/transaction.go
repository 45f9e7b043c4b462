package transaction

import (
	"io"
	"net"
	"net/netip"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

type key[T any] struct{}

// kept is a value in a session, with the transaction that it is about: a
// session's values outlive its transactions.
type kept[T any] struct {
	message *smtpserver.Message
	value   *T
}

// Keep leaves a value about a message, one of each type.
func Keep[T any](s *smtpserver.Session, m *smtpserver.Message, value *T) {
	s.SetValue(key[T]{}, &kept[T]{m, value})
}

// Kept finds the value about m; nil where there is none.
func Kept[T any](s *smtpserver.Session, m *smtpserver.Message) *T {
	k, _ := s.Value(key[T]{}).(*kept[T])
	if k == nil || m == nil || k.message != m {
		return nil
	}
	return k.value
}

// ClientIP is the client's address, invalid where it has none.
func ClientIP(s *smtpserver.Session) netip.Addr {
	if a, ok := s.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Fields are the header fields as they stand.
func Fields(m *smtpserver.Message) [][]byte {
	fields := m.Header.Fields()
	raw := make([][]byte, len(fields))
	for i, f := range fields {
		raw[i] = f
	}
	return raw
}

// Body writes the message's body.
func Body(m *smtpserver.Message) func(io.Writer) error {
	return func(w io.Writer) error {
		if m.Body == nil {
			return nil
		}
		_, err := m.Body.WriteTo(w)
		return err
	}
}
