package smtpserver

import "strings"

// maxHelo is the longest name that a client may give itself, in octets
// (RFC 5321, 4.5.3.1.2).
const maxHelo = 255

// heloName is the name that a client gave itself.
type heloName struct {
	received string
	safe     string // to be written anywhere
}

// validHelo lets every name pass that can be written safely: many honest
// clients, devices above all, have none that RFC 5321 would take for a domain.
func (srv *Server) validHelo(name string) bool {
	if name == "" || len(name) > maxHelo {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c < ' ' && c != '\t' || c == 0x7f || srv.StrictHelo && !strictHelo(c) {
			return false
		}
	}
	return true
}

// strictHelo says whether an octet can be in a domain or an address literal,
// or at least means nothing else in a trace field (RFC 5321, 4.4).
func strictHelo(c byte) bool {
	return c > ' ' && c <= '~' && strings.IndexByte(`()<>"\,;`, c) < 0
}
