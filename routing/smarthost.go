package routing

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
)

// A SmartHost is a host that accepts all mail of a connector, for any
// recipient domain.
type SmartHost struct {
	// Host is a host name ("relay.example.net") or an address ("192.0.2.1",
	// "[192.0.2.1]", "2001:db8::1", "[2001:db8::1]", "[IPv6:2001:db8::1]"),
	// optionally followed by ":port". The default port is 25. An IPv6 address
	// with a port must be in brackets. "unix:/path" is a Unix socket. A URL or a
	// list of hosts is an error.
	Host string
	// MX delivers to the MX hosts of the name instead of its own addresses.
	MX bool
	// Preference orders the hosts, lowest number first. The next preference is
	// tried when all hosts of the one before are down.
	Preference int
	// Weight is the share of a host among those of equal Preference: a host
	// with weight 2 gets twice as many sessions as one with weight 1. It is 1
	// to 1000; the default is 1. Weights distribute sessions, not messages. If
	// there is so little mail that one session is sufficient, one host receives
	// all mail until the session ends (smtpclient.Transport.MaxMessages or
	// MaxAge).
	Weight int
}

// SmartHosts returns smart hosts of equal preference and weight.
func SmartHosts(hosts ...string) []SmartHost {
	hs := make([]SmartHost, len(hosts))
	for i, h := range hosts {
		hs[i].Host = h
	}
	return hs
}

// Addr returns the IP address in Host. It returns false if Host is a name. A
// relay can use it to recognize mail from the smart host by the client's
// address.
func (s SmartHost) Addr() (netip.Addr, bool) {
	h, err := parseSmartHost(s)
	return h.addr, err == nil && h.addr.IsValid()
}

// A smartHost is a parsed SmartHost.
type smartHost struct {
	name   string     // A-label form, or an address literal in brackets
	addr   netip.Addr // of a literal
	socket string
	port   uint16
	mx     bool
	pref   int
	weight int
}

// String returns the host in canonical form. It is part of queue names.
func (h *smartHost) String() string {
	switch {
	case h.socket != "":
		return "unix:" + h.socket
	case h.mx:
		return "mx:" + h.name + portSuffix(h.port)
	}
	return h.name + portSuffix(h.port)
}

func portSuffix(port uint16) string {
	if port == smtpPort {
		return ""
	}
	return ":" + strconv.Itoa(int(port))
}

const (
	smtpPort  = 25
	maxWeight = 1000
)

func parseSmartHost(s SmartHost) (smartHost, error) {
	if problem := notOneHost(s.Host); problem != "" {
		return smartHost{}, fmt.Errorf("%q %s", s.Host, problem)
	}
	h := smartHost{port: smtpPort, mx: s.MX, pref: s.Preference, weight: cmp.Or(s.Weight, 1)}
	if h.weight < 0 || h.weight > maxWeight {
		return h, fmt.Errorf("%q: weight %d is not 1 to %d", s.Host, s.Weight, maxWeight)
	}
	if path, ok := strings.CutPrefix(s.Host, "unix:"); ok {
		if path == "" || s.MX {
			return h, fmt.Errorf("%q: a Unix socket needs a path, and MX must not be set", s.Host)
		}
		h.socket = path
		return h, nil
	}
	name, err := cutPort(s.Host, &h.port)
	if err != nil {
		return h, err
	}
	if _, err := netip.ParseAddr(name); err == nil {
		name = "[" + name + "]"
	}
	if strings.HasPrefix(name, "[") {
		h.addr, err = parseLiteral(name)
		h.name = literal(h.addr)
		if err == nil && s.MX {
			err = fmt.Errorf("%q: MX needs a host name, not an address", s.Host)
		}
		return h, err
	}
	h.name, err = hostName(name)
	return h, err
}

// notOneHost returns why text cannot be one host, with the correct form, or "".
// Without it the error would be about a part of the text, such as its port.
func notOneHost(text string) string {
	scheme, rest, isURL := strings.Cut(text, "://")
	switch {
	case text == "":
		return "is empty: a host is a name or an address, such as \"relay.example.net\" or \"192.0.2.1:587\""
	case isURL:
		host, _, _ := strings.Cut(rest, "/")
		if strings.EqualFold(scheme, "smtps") {
			return fmt.Sprintf("is a URL, not a host: use %q, with the port and a Transport with ImplicitTLS", host)
		}
		return fmt.Sprintf("is a URL, not a host: use %q", host)
	case strings.HasPrefix(text, "unix:"):
	case strings.ContainsAny(text, ",;"):
		return "is a list, not one host: use one SmartHost for each"
	case strings.ContainsFunc(text, unicode.IsSpace):
		return "has a space, so it is not a host: use one SmartHost for each host"
	}
	return ""
}

// cutPort removes ":port" from the end of a host and stores the port.
func cutPort(s string, port *uint16) (string, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, ']') || strings.Count(s[strings.LastIndexByte(s, ']')+1:], ":") > 1 {
		return s, nil
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%q: the port %q is not a number from 1 to 65535", s, s[i+1:])
	}
	*port = uint16(n)
	return s[:i], nil
}

// parseLiteral parses an address literal in a setting. Unlike
// addr.ParseLiteral for the domain of an address, it accepts IPv6 addresses
// without the "IPv6:" tag and link-local addresses with a zone.
func parseLiteral(s string) (netip.Addr, error) {
	inner, ok1 := strings.CutPrefix(s, "[")
	inner, ok2 := strings.CutSuffix(inner, "]")
	if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
		inner = inner[5:]
	}
	a, err := netip.ParseAddr(inner)
	if err != nil || !ok1 || !ok2 {
		return netip.Addr{}, fmt.Errorf("%q is not an address literal", s)
	}
	return a.Unmap(), nil
}

// literal returns the form of RFC 5321, 4.1.3.
func literal(a netip.Addr) string {
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// hostName returns the canonical form of a name in a setting. A name whose
// last label is a number (192.0.2.256) is a wrong address: no top-level domain
// is a number (RFC 3696, 2).
func hostName(name string) (string, error) {
	d, err := addr.HostName(name)
	if err != nil {
		return "", fmt.Errorf("%q is not a host name", name)
	}
	if strings.Trim(d[strings.LastIndexByte(d, '.')+1:], "0123456789") == "" {
		return "", fmt.Errorf("%q is neither a host name nor an address", name)
	}
	return d, nil
}

// balanced returns smart hosts in the order in which one attempt tries them:
// by preference, and at random by weight among hosts of equal preference (as
// in RFC 2782).
func balanced(hosts []smartHost) []smartHost {
	if len(hosts) < 2 {
		return hosts
	}
	order := slices.Clone(hosts)
	slices.SortStableFunc(order, func(a, b smartHost) int { return a.pref - b.pref })
	for i := range order {
		sum := 0
		for _, h := range order[i:] {
			if h.pref == order[i].pref {
				sum += h.weight
			}
		}
		pick := rand.IntN(sum)
		for j := i; ; j++ {
			if pick -= order[j].weight; pick < 0 {
				order[i], order[j] = order[j], order[i]
				break
			}
		}
	}
	return order
}

// setName returns the name of a set of smart hosts. It is the destination of
// the queue for them.
func setName(hosts []smartHost) string {
	names := make([]string, len(hosts))
	for i := range hosts {
		names[i] = hosts[i].String()
	}
	name := strings.Join(names, ",")
	if len(name) > 200 {
		sum := fnv.New64a() // keeps the names of different sets different
		io.WriteString(sum, name)
		name = fmt.Sprintf("%s and %d more (%x)", names[0], len(names)-1, sum.Sum64())
	}
	return name
}

// splitAddrPort parses the literal in a queue name: "[192.0.2.1]", or with a
// port.
func splitAddrPort(destination string) (netip.AddrPort, bool) {
	port := uint16(0)
	name, err := cutPort(destination, &port)
	if err != nil || !strings.HasPrefix(name, "[") {
		return netip.AddrPort{}, false
	}
	a, err := parseLiteral(name)
	return netip.AddrPortFrom(a, port), err == nil
}
