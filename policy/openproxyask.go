package policy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
)

// String returns the port in words: "SOCKS5 on port 1080".
func (p ProxyPort) String() string { return fmt.Sprintf("%s on port %d", p.Protocol, p.Port) }

// maxProxyReply limits what is read from a possible proxy, including the
// greeting.
const maxProxyReply = 8 << 10

// proxyRequests ask a proxy for a connection and report whether the proxy made
// one.
var proxyRequests = map[ProxyProtocol]func(w io.Writer, r *bufio.Reader, target netip.AddrPort) bool{
	HTTPConnect: askHTTP,
	SOCKS4:      askSOCKS4,
	SOCKS5:      askSOCKS5,
}

// askProxy reports whether the greeting of the target comes back over the
// connection. The deadline of the connection limits the time.
func askProxy(c net.Conn, protocol ProxyProtocol, target netip.AddrPort, greeting string) bool {
	target = netip.AddrPortFrom(target.Addr().Unmap(), target.Port())
	r := bufio.NewReader(io.LimitReader(c, maxProxyReply))
	if !proxyRequests[protocol](c, r, target) {
		return false
	}
	line := make([]byte, len(greeting))
	_, err := io.ReadFull(r, line)
	return err == nil && strings.EqualFold(string(line), greeting)
}

// askHTTP uses CONNECT (RFC 9110, 9.3.6).
func askHTTP(w io.Writer, r *bufio.Reader, target netip.AddrPort) bool {
	if _, err := fmt.Fprintf(w, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target); err != nil {
		return false
	}
	t := textproto.NewReader(r)
	status, err := t.ReadLine()
	if err != nil {
		return false
	}
	version, code, _ := strings.Cut(status, " ")
	if !strings.HasPrefix(version, "HTTP/1.") || !strings.HasPrefix(code, "2") {
		return false
	}
	_, err = t.ReadMIMEHeader()
	return err == nil
}

// askSOCKS4 uses the CONNECT request of SOCKS version 4, without a user name.
func askSOCKS4(w io.Writer, r *bufio.Reader, target netip.AddrPort) bool {
	if !target.Addr().Is4() {
		return false
	}
	ip := target.Addr().As4()
	b := binary.BigEndian.AppendUint16([]byte{4, 1}, target.Port())
	if _, err := w.Write(append(append(b, ip[:]...), 0)); err != nil {
		return false
	}
	var reply [8]byte
	_, err := io.ReadFull(r, reply[:])
	return err == nil && reply[0] == 0 && reply[1] == 90 // granted
}

// askSOCKS5 uses the CONNECT request of RFC 1928, without authentication.
func askSOCKS5(w io.Writer, r *bufio.Reader, target netip.AddrPort) bool {
	if _, err := w.Write([]byte{5, 1, 0}); err != nil {
		return false
	}
	var method [2]byte
	if _, err := io.ReadFull(r, method[:]); err != nil || method != [2]byte{5, 0} {
		return false
	}
	b := []byte{5, 1, 0, 1} // CONNECT to an address of IPv4
	if target.Addr().Is6() {
		b[3] = 4
	}
	b = binary.BigEndian.AppendUint16(append(b, target.Addr().AsSlice()...), target.Port())
	if _, err := w.Write(b); err != nil {
		return false
	}
	var reply [5]byte // and the first byte of the address that the proxy bound
	if _, err := io.ReadFull(r, reply[:]); err != nil || reply[0] != 5 || reply[1] != 0 {
		return false
	}
	rest := 0
	switch reply[3] {
	case 1:
		rest = 4 - 1 + 2
	case 3:
		rest = int(reply[4]) + 2
	case 4:
		rest = 16 - 1 + 2
	default:
		return false
	}
	_, err := r.Discard(rest)
	return err == nil
}
