package routing

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Limits of /etc/resolv.conf, all from resolv.conf(5).
const (
	maxConfServers  = 3                // MAXNS
	maxConfTimeout  = 30 * time.Second // option timeout
	maxConfAttempts = 5                // option attempts
)

// confCheck is the minimum time between two checks whether /etc/resolv.conf
// has changed. Go's own resolver uses the same interval.
const confCheck = 5 * time.Second

// A dnsConfig is a list of name servers and how to query them.
type dnsConfig struct {
	servers  []*nameServer
	timeout  time.Duration
	attempts int
	rotate   bool
}

// parseResolvConf parses the nameserver lines of a resolv.conf and the options
// timeout, attempts and rotate. Other lines and options, and values that are
// not valid, are skipped as resolv.conf(5) specifies. If there is no
// nameserver line, the servers are those of the local machine.
func parseResolvConf(text string) *dnsConfig {
	c := &dnsConfig{timeout: defaultDNSTimeout, attempts: defaultDNSAttempts}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && len(c.servers) < maxConfServers {
				c.servers = append(c.servers, &nameServer{addr: netip.AddrPortFrom(a, 53).String()})
			}
		case "options":
			for _, o := range words[1:] {
				c.option(o)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = localServers()
	}
	return c
}

func (c *dnsConfig) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(value, 10, 31)
	switch {
	case text == "rotate":
		c.rotate = true
	case err != nil:
	case name == "timeout":
		c.timeout = min(time.Duration(max(n, 1))*time.Second, maxConfTimeout)
	case name == "attempts":
		c.attempts = int(min(max(n, 1), maxConfAttempts))
	}
}

// localServers returns the servers of the local machine. resolv.conf(5) uses
// them if there is no nameserver line. They are the same as in Go's own
// resolver.
func localServers() []*nameServer {
	return []*nameServer{{addr: "127.0.0.1:53"}, {addr: "[::1]:53"}}
}

// confFile is a resolv.conf that is read again after it has changed. The
// caller ensures that only one goroutine uses it at a time.
type confFile struct {
	path    string
	config  *dnsConfig // nil until the file was read
	checked time.Time
	changed time.Time // modification time when it was read
	size    int64
}

// load returns the settings in the file. It checks the file at most once in
// confCheck. If the file cannot be read, the previous settings stay valid.
func (f *confFile) load(now time.Time) (*dnsConfig, error) {
	if f.config != nil && now.Sub(f.checked) < confCheck {
		return f.config, nil
	}
	f.checked = now
	info, err := os.Stat(f.path)
	if err == nil && f.config != nil && info.ModTime().Equal(f.changed) && info.Size() == f.size {
		return f.config, nil
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(f.path)
	}
	switch {
	case err == nil:
		f.config, f.changed, f.size = parseResolvConf(string(text)), info.ModTime(), info.Size()
	case f.config != nil: // it is being replaced
	case errors.Is(err, fs.ErrNotExist) && runtime.GOOS != "windows":
		// resolv.conf(5): the server of the local machine. A file that
		// appears later is noticed.
		f.config = parseResolvConf("")
	default:
		return nil, fmt.Errorf("no name servers: %w (see DNSResolver.Servers)", err)
	}
	return f.config, nil
}
