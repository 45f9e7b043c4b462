package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// startBIND runs a BIND on a port of 127.0.0.1 that is authoritative for zones
// and not recursive.
func startBIND(t *testing.T, dir string, port int, zones map[string]string) {
	t.Helper()
	named := peers.Need(t, "named")
	conf := fmt.Sprintf(`options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
		pid-file none; session-keyfile none; dnssec-validation no; }; controls { };`, dir, port)
	for name, records := range zones {
		file := fmt.Sprintf("%d.%s.zone", port, name)
		write(t, dir, file, "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"+records)
		conf += fmt.Sprintf("\nzone %q { type primary; file %q; };", name, file)
	}
	name := fmt.Sprintf("%d.conf", port)
	write(t, dir, name, conf)
	peers.Daemon(t, "all zones loaded", named, "-g", "-c", filepath.Join(dir, name))
}

// A BIND that is authoritative only for example returns a referral to the
// servers of sub.example. It follows aliases only within its own zones.
func TestReferralOfBIND(t *testing.T) {
	dir := t.TempDir()
	parent, child := int(netip.MustParseAddrPort(peers.FreeAddr(t)).Port()), int(netip.MustParseAddrPort(peers.FreeAddr(t)).Port())
	startBIND(t, dir, parent, map[string]string{"example": `
sub    NS ns.sub
ns.sub A 127.0.0.1
alias  CNAME mx.sub
out    CNAME mx.other.test.
near   CNAME text
text   TXT "x"
`})
	startBIND(t, dir, child, map[string]string{"sub.example": "@ MX 10 mx\nmx A 192.0.2.5\n"})
	both := &DNSResolver{Servers: []string{fmt.Sprintf("127.0.0.1:%d", parent), fmt.Sprintf("127.0.0.1:%d", child)}, Timeout: time.Second}
	if _, err := both.Lookup(t.Context(), "sub.example", TypeMX); err != nil {
		t.Errorf("the second server knows: %v", err)
	}
	f := testFinder(t, nil)
	f.resolver = both
	if hosts, err := f.domain(t.Context(), "sub.example"); err != nil || len(hosts) != 1 {
		t.Errorf("hosts %v, %v", hosts, err)
	}
	alone := &DNSResolver{Servers: both.Servers[:1], Timeout: time.Second}
	for _, c := range []struct {
		name      string
		temporary bool
	}{
		{"sub.example", true},
		{"mx.sub.example", true},
		{"alias.example", true},
		{"out.example", true},
		{"near.example", false},
		{"text.example", false},
		{"nowhere.example", false},
	} {
		_, err := alone.Lookup(t.Context(), c.name, TypeAAAA)
		var e *LookupError
		if !errors.As(err, &e) || e.Temporary() != c.temporary {
			t.Errorf("%s: %v; want temporary %v", c.name, err, c.temporary)
		}
	}
}
