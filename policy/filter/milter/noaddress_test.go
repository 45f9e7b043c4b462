//go:build unix

package milter

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// opendkim treats a client without an address as a local host, and signs its
// mail. It must not do so for a client whose address a proxy does not give.
func TestOpenDKIMSignsForNoClientWithoutAddress(t *testing.T) {
	peers.Need(t, "opendkim")
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := agenttest.File(t, dir, "key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	sock := filepath.Join(dir, "milter")
	conf := agenttest.File(t, dir, "conf", "Socket local:"+sock+"\nMode sv\nDomain example.org\nSelector sel\nKeyFile "+keyFile+"\nRequireSafeKeys no\n")
	peers.Program(t, sock, "opendkim", "-f", "-x", conf)

	srv := agenttest.StartServer(t, &smtpserver.Server{Hostname: "relay.example.com", Agents: []smtpserver.Agent{(&Client{Address: sock}).Agent()},
		ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for i, c := range []struct {
		header string
		signed bool
	}{
		{"PROXY TCP4 127.0.0.1 127.0.0.1 4711 25", true},
		{"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25", false},
		{"PROXY UNKNOWN", false},
	} {
		client := srv.Connect(t)
		client.Want(220, "%s", c.header)
		client.Want(250, "EHLO client.example.org")
		if code, text := client.Send("a@example.org", []string{"b@example.com"}, plain); code != 250 {
			t.Fatalf("%s: %d %s", c.header, code, text)
		}
		if got := srv.Accepted()[i].Data; strings.Contains(got, "DKIM-Signature:") != c.signed {
			t.Errorf("%s: the message is\n%s", c.header, got)
		}
	}
}
