package smtpserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// The PROXY protocol (HAProxy, "The PROXY protocol, versions 1 & 2"): a proxy
// sends a header with the address of the client before the first byte of SMTP.

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

const (
	proxyV1Max = 107  // bytes of a version 1 header
	proxyV2Max = 4096 // bytes after the first 16 bytes of a version 2 header
)

var errProxyHeader = errors.New("PROXY header missing or invalid")

// readProxy reads the header and sets the addresses of the session.
func (s *Session) readProxy() error {
	for began := time.Now(); ; {
		src, dst, n, err := parseProxy(s.in.buffered())
		if err != nil {
			s.log(slog.LevelError, "connection refused", slog.Any("error", err))
			return err
		}
		if n > 0 {
			s.in.consume(n)
			s.setAddrs(src, dst)
			if s.hasUnknownAddr() {
				s.traceInfo("PROXY: no client address, connection from " + s.PeerAddr().String())
			}
			return nil
		}
		if err := s.await(waitCommand, s.waitAtMost(s.lim.HandshakeTimeout)-time.Since(began)); err != nil {
			return err
		}
	}
}

// unknownAddr is the address of a client whose proxy gave no address: for
// example for a health check by the proxy itself, or if the client connected to
// the proxy through a Unix socket. The address of the proxy must not be used in
// its place.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "unknown" }
func (unknownAddr) String() string  { return "unknown" }

// hasUnknownAddr reports whether a proxy gave no address of the client.
func (s *Session) hasUnknownAddr() bool { return s.remote == net.Addr(unknownAddr{}) }

// setAddrs sets the addresses that a trusted proxy gave. If src is not usable,
// the address of the client is unknown.
func (s *Session) setAddrs(src, dst netip.AddrPort) {
	if ip := src.Addr().Unmap().WithZone(""); ip.IsValid() && !ip.IsUnspecified() {
		s.remote, s.remoteIP = net.TCPAddrFromAddrPort(src), ip
	} else {
		s.remote, s.remoteIP = unknownAddr{}, netip.Addr{}
	}
	if dst.IsValid() {
		s.local = net.TCPAddrFromAddrPort(dst)
	}
	s.ends, s.proxied = nil, true
	s.show(live.StateBanner, time.Time{})
}

// parseProxy parses a header at the start of b. n is its length, or 0 if more
// input is needed. If the header contains no TCP addresses (LOCAL, UNKNOWN,
// UNSPEC, UDP, UNIX), src is not valid.
func parseProxy(b []byte) (src, dst netip.AddrPort, n int, err error) {
	switch {
	case bytes.HasPrefix(b, proxySignature):
		return parseProxyV2(b)
	case bytes.HasPrefix(b, []byte("PROXY ")):
		return parseProxyV1(b)
	case len(b) < len(proxySignature) && (bytes.HasPrefix(proxySignature, b) || bytes.HasPrefix([]byte("PROXY "), b)):
		return src, dst, 0, nil
	}
	return src, dst, 0, errProxyHeader
}

// parseProxyV1 parses "PROXY TCP4 source destination sport dport" CRLF.
func parseProxyV1(b []byte) (src, dst netip.AddrPort, n int, err error) {
	i := bytes.Index(b[:min(len(b), proxyV1Max)], crlf)
	if i < 0 {
		if len(b) >= proxyV1Max {
			err = errProxyHeader
		}
		return src, dst, 0, err
	}
	n = i + 2
	f := strings.Split(string(b[:i]), " ")
	if f[1] == "UNKNOWN" {
		return src, dst, n, nil
	}
	if len(f) != 6 || (f[1] != "TCP4" && f[1] != "TCP6") {
		return src, dst, 0, fmt.Errorf("%w: %q", errProxyHeader, b[:i])
	}
	src, err1 := proxyAddr(f[2], f[4], f[1] == "TCP6")
	dst, err2 := proxyAddr(f[3], f[5], f[1] == "TCP6")
	if err := errors.Join(err1, err2); err != nil {
		return netip.AddrPort{}, netip.AddrPort{}, 0, err
	}
	return src, dst, n, nil
}

func proxyAddr(ip, port string, six bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(ip)
	p, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || a.Is6() != six || a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%w: bad address %q %q", errProxyHeader, ip, port)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

// parseProxyV2 parses the binary form. It ignores the TLVs after the addresses.
func parseProxyV2(b []byte) (src, dst netip.AddrPort, n int, err error) {
	const fixed = 16
	if len(b) < fixed {
		return src, dst, 0, nil
	}
	command, family, length := b[12], b[13], int(binary.BigEndian.Uint16(b[14:16]))
	if command>>4 != 2 || command&15 > 1 || length > proxyV2Max {
		return src, dst, 0, fmt.Errorf("%w: unsupported version or command %#x, or length %d", errProxyHeader, command, length)
	}
	if len(b) < fixed+length {
		return src, dst, 0, nil
	}
	n = fixed + length
	if command&15 == 0 { // LOCAL: a connection of the proxy itself, such as a health check
		return src, dst, n, nil
	}
	b = b[fixed:n]
	size := 0
	switch family {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	case 0x00, 0x12, 0x22, 0x31, 0x32: // UNSPEC, UDP, UNIX: as for UNKNOWN
		return src, dst, n, nil
	default: // section 2.2: receivers drop connections with other values
		return src, dst, 0, fmt.Errorf("%w: unsupported address family or protocol %#x", errProxyHeader, family)
	}
	if len(b) < 2*size+4 {
		return src, dst, 0, fmt.Errorf("%w: no room for the addresses", errProxyHeader)
	}
	s, _ := netip.AddrFromSlice(b[:size]) // size is 4 or 16
	d, _ := netip.AddrFromSlice(b[size : 2*size])
	ports := b[2*size:]
	return netip.AddrPortFrom(s, binary.BigEndian.Uint16(ports)), netip.AddrPortFrom(d, binary.BigEndian.Uint16(ports[2:])), n, nil
}
