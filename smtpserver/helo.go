package smtpserver

import "strings"

// maxHelo is the length of the longest client name, in octets (RFC 5321,
// 4.5.3.1.2).
const maxHelo = 255

// heloName is the name that a client gave at HELO, EHLO or LHLO.
type heloName struct {
	received string
	safe     string // encoded, see Session.Helo
}

// validHelo reports whether the server accepts a client name. It accepts every
// name without control characters other than tab, because the names of many
// clients, mostly devices, are not domain names as RFC 5321 requires.
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

// strictHelo reports whether Server.StrictHelo allows an octet: one that can be
// part of a domain or an address literal, or that at least has no special
// meaning in a trace field (RFC 5321, 4.4).
func strictHelo(c byte) bool {
	return c > ' ' && c <= '~' && strings.IndexByte(`()<>"\,;`, c) < 0
}
