package peers

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Daemon runs a program in the foreground until the test ends. It returns when
// the program has written a line that contains ready.
func Daemon(t testing.TB, ready string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up, ended := make(chan struct{}), make(chan struct{})
	var log strings.Builder // read only after ended
	go func() {
		defer close(ended)
		waiting := true
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if waiting && strings.Contains(lines.Text(), ready) {
				waiting = false
				close(up)
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
	select {
	case <-up:
	case <-ended:
		t.Fatalf("%s did not come up", name)
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not come up in 30 s", name)
	}
}

func perform(t testing.TB, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(Need(t, program), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// SignedDNS serves the signed zone signed.example and the zone unsigned.example with
// BIND. It returns the address of a validating unbound in front of BIND. After
// signing, it changes the zone as replaced specifies.
func SignedDNS(t testing.TB, signed, unsigned string, replaced ...string) string {
	t.Helper()
	named, unbound := Need(t, "named"), Need(t, "unbound")
	dir := t.TempDir()
	const soa = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
	write(t, dir, "signed.zone", soa+signed)
	write(t, dir, "unsigned.zone", soa+unsigned)
	perform(t, dir, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "signed.example")
	perform(t, dir, "dnssec-signzone", "-q", "-S", "-z", "-o", "signed.example", "-f", "signed.out", "signed.zone")
	keys, err := filepath.Glob(filepath.Join(dir, "Ksigned.example.*.key"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	out, err := os.ReadFile(filepath.Join(dir, "signed.out"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "signed.out", strings.NewReplacer(replaced...).Replace(string(out)))

	authPort, port := int(netip.MustParseAddrPort(FreeAddr(t)).Port()), int(netip.MustParseAddrPort(FreeAddr(t)).Port())
	write(t, dir, "named.conf", fmt.Sprintf(`
		options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
			recursion no; pid-file none; session-keyfile none; dnssec-validation no; };
		controls { };
		zone "signed.example" { type primary; file "signed.out"; };
		zone "unsigned.example" { type primary; file "unsigned.zone"; };`, dir, authPort))
	Daemon(t, "all zones loaded", named, "-g", "-c", filepath.Join(dir, "named.conf"))
	write(t, dir, "unbound.conf", fmt.Sprintf(`
server:
	directory: %q
	chroot: ""
	username: ""
	pidfile: ""
	interface: 127.0.0.1@%d
	use-syslog: no
	logfile: ""
	verbosity: 1
	do-not-query-localhost: no
	trust-anchor-file: %q
remote-control:
	control-enable: no
stub-zone:
	name: "signed.example"
	stub-addr: 127.0.0.1@%d
stub-zone:
	name: "unsigned.example"
	stub-addr: 127.0.0.1@%[4]d
`, dir, port, keys[0], authPort))
	Daemon(t, "start of service", unbound, "-d", "-c", filepath.Join(dir, "unbound.conf"))
	return fmt.Sprintf("127.0.0.1:%d", port)
}
