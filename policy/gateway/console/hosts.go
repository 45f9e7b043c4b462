package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// checkHost refuses a request whose Host field is not a name of the console.
// Otherwise another website could use a DNS name that changes its address to
// ours (DNS rebinding): for the browser, its script and the console would then
// have the same origin.
func (c *Console) checkHost(r *http.Request) error {
	if c.Authorize != nil && len(c.Hosts) == 0 {
		return nil
	}
	name := hostName(r.Host)
	own := hostName(c.Address)
	if isLoopback(name) || own != "" && strings.EqualFold(name, own) {
		return nil
	}
	if slices.ContainsFunc(c.Hosts, func(h string) bool {
		return strings.EqualFold(h, r.Host) || strings.EqualFold(hostName(h), name) && h == hostName(h)
	}) {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "The console does not accept this host name. The setting Hosts adds names that it accepts.")
}

// hostName returns a Host field without its port, and an IP address without
// brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}

// isLoopback reports whether name is a loopback address or "localhost".
func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
