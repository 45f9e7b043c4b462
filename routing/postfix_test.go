package routing

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// startPostfix runs a Postfix with STARTTLS on 127.0.0.1. It accepts and
// discards all mail for *.example. It returns the port.
func startPostfix(t *testing.T, cert tls.Certificate) int {
	t.Helper()
	postfix := peers.Need(t, "postfix")
	if os.Getuid() != 0 {
		t.Skip("postfix has to be started by root")
	}
	dir := t.TempDir()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // Postfix is not root for long
			t.Fatal(err)
		}
	}
	for _, d := range []string{"etc", "spool", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	perform(t, dir, "chown", "postfix", "data")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "etc/cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	port := freePort(t)
	fill := strings.NewReplacer("@DIR@", dir, "@PORT@", fmt.Sprint(port))
	write(t, dir, "etc/main.cf", fill.Replace(postfixMain))
	write(t, dir, "etc/master.cf", fill.Replace(postfixMaster))
	if out, err := exec.Command(postfix, "-c", dir+"/etc", "start").CombinedOutput(); err != nil {
		t.Fatalf("postfix start: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		exec.Command(postfix, "-c", dir+"/etc", "stop").Run()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/maillog")
			t.Logf("postfix:\n%s", log)
		}
	})
	awaitListening(t, fmt.Sprintf("127.0.0.1:%d", port))
	return port
}

// awaitListening polls, because another process sends no event when it
// listens.
func awaitListening(t *testing.T, addr string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no server on %s: %v", addr, err)
		}
	}
}

const postfixMain = `compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
maillog_file = @DIR@/maillog
maillog_file_prefixes = @DIR@
myhostname = mx.signed.example
mydestination =
relay_domains = example
parent_domain_matches_subdomains = relay_domains, fast_flush_domains
transport_maps = static:discard:
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_tls_security_level = may
smtpd_tls_chain_files = @DIR@/etc/cert.pem
smtpd_peername_lookup = no
`

const postfixMaster = `127.0.0.1:@PORT@ inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`

// Postfix accepts ETRN for the domains that it relays for.
func TestETRNToPostfix(t *testing.T) {
	cert, _ := selfSigned(t, "mx.signed.example")
	port := startPostfix(t, cert)
	f := &Fetcher{Transport: &smtpclient.Transport{Hostname: "branch.example"}, Provider: SmartHost{Host: fmt.Sprintf("[127.0.0.1]:%d", port)}}
	for domain, want := range map[string]string{"branch.example": "", "elsewhere.test": "459"} {
		f.Domains = []string{domain}
		err := f.Fetch(t.Context())
		var reply *smtp.SMTPError
		if want == "" && err != nil || want != "" && (!errors.As(err, &reply) || fmt.Sprint(reply.Code) != want) {
			t.Errorf("%s: %v, want %q", domain, err, want)
		}
	}
}
