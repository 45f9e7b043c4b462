package ldap

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const (
	suffix   = "dc=example,dc=com"
	admin    = "cn=admin," + suffix
	password = "open sesame"
)

// slapd is Debian's OpenLDAP server with a few entries.
type slapd struct {
	plain, tls string // URLs
	roots      *x509.CertPool
	cmd        *exec.Cmd
	stopped    sync.Once
}

func startSlapd(t *testing.T) *slapd {
	t.Helper()
	program := peers.Need(t, "slapd")
	dir := t.TempDir()
	s := &slapd{plain: "ldap://" + peers.FreeAddr(t), tls: "ldaps://" + peers.FreeAddr(t)}
	s.roots = writeCertificate(t, dir)
	conf := fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
attributetype ( 1.2.840.113556.1.2.210 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
require authc
database mdb
suffix %[2]q
rootdn %[3]q
rootpw %[4]q
directory %[1]s
`, dir, suffix, admin, password)
	file := filepath.Join(dir, "slapd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program, "-h", s.plain+" "+s.tls, "-f", file, "-d", "256")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	awaitStart(t, bufio.NewScanner(stderr))
	s.fill(t)
	return s
}

// awaitStart reads the output of slapd until it serves. It reads the rest in the
// background.
func awaitStart(t *testing.T, lines *bufio.Scanner) {
	t.Helper()
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.Contains(lines.Text(), "slapd starting") {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	t.Fatalf("slapd did not start:\n%s", strings.Join(said, "\n"))
}

func (s *slapd) stop() {
	s.stopped.Do(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
}

func (s *slapd) fill(t *testing.T) {
	t.Helper()
	// slapd reports its start just before it listens.
	c, err := ldap.DialURL(s.plain)
	for began := time.Now(); err != nil && time.Since(began) < 10*time.Second; c, err = ldap.DialURL(s.plain) {
		<-time.After(5 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	top := ldap.NewAddRequest(suffix, nil)
	top.Attribute("objectClass", []string{"domain"})
	top.Attribute("dc", []string{"example"})
	entries := []*ldap.AddRequest{top}
	for name, mails := range map[string][]string{
		"alice": {"alice@example.com", "a.liddell@example.com"}, "bob": {"bob@example.com", "office@example.com"},
		"carol": {"carol@example.com", "office@example.com"}, `o\2a(x)`: {`"o*(x)"@example.com`},
	} {
		p := ldap.NewAddRequest("uid="+name+","+suffix, nil)
		p.Attribute("objectClass", []string{"inetOrgPerson"})
		p.Attribute("sn", []string{"x"})
		p.Attribute("cn", []string{"x"})
		p.Attribute("mail", mails)
		entries = append(entries, p)
	}
	for _, e := range entries {
		if err := c.Add(e); err != nil {
			t.Fatalf("%s: %v", e.DN, err)
		}
	}
}

func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

func TestSlapd(t *testing.T) {
	s := startSlapd(t)
	trusting := &tls.Config{RootCAs: s.roots}
	for name, d := range map[string]*Directory{
		"plain":    {URLs: []string{s.plain}, AllowPlainPassword: true},
		"ldaps":    {URLs: []string{s.tls}, TLSConfig: trusting},
		"StartTLS": {URLs: []string{s.plain}, StartTLS: true, TLSConfig: trusting},
		"failover": {URLs: []string{"ldap://" + peers.FreeAddr(t), s.tls}, TLSConfig: trusting, StartTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			d.BaseDN, d.BindDN, d.Password, d.MaxConnections = suffix, admin, password, 2
			defer d.Close()
			for address, want := range map[string]bool{
				"alice@example.com": true, "ALICE@EXAMPLE.COM": true, "a.liddell@example.com": true,
				`"o*(x)"@example.com`: true,
				"mallory@example.com": false, "*@example.com": false, "a*@example.com": false,
				"x)(uid=*": false, "": false,
			} {
				found, err := d.Exists(t.Context(), address)
				if err != nil || found != want {
					t.Errorf("%q: %v, %v; want %v", address, found, err, want)
				}
			}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if found, err := d.Exists(t.Context(), "bob@example.com"); !found || err != nil {
						t.Errorf("among many: %v, %v", found, err)
					}
				})
			}
			all.Wait()
			if n := len(d.idle); n < 1 || n > 2 {
				t.Errorf("%d open connections, want 1 or 2", n)
			}
		})
	}
}

// An address that two entries claim is ambiguous, unless AllowSeveral permits it.
// The connection stays open.
func TestSlapdAmbiguous(t *testing.T) {
	s := startSlapd(t)
	for _, several := range []bool{false, true} {
		d := &Directory{URLs: []string{s.plain}, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true, AllowSeveral: several}
		for range 2 {
			found, err := d.Exists(t.Context(), "office@example.com")
			if found != several || errors.Is(err, policy.ErrAmbiguous) == several {
				t.Errorf("AllowSeveral %v: %v, %v", several, found, err)
			}
			if found, err := d.Exists(t.Context(), "bob@example.com"); !found || err != nil {
				t.Errorf("bob, whose second address is ambiguous: %v, %v", found, err)
			}
		}
		d.Filter = "(objectClass=inetOrgPerson)" // more entries than the search allows
		if found, err := d.Exists(t.Context(), "x"); found != several || errors.Is(err, policy.ErrAmbiguous) == several {
			t.Errorf("many entries, AllowSeveral %v: %v, %v", several, found, err)
		}
		if len(d.idle) != 1 {
			t.Errorf("%d idle connections, want 1", len(d.idle))
		}
		d.Close()
	}
}

func TestSlapdRefuses(t *testing.T) {
	s := startSlapd(t)
	for name, d := range map[string]*Directory{
		"wrong password":        {URLs: []string{s.tls}, BindDN: admin, Password: "guessed", TLSConfig: &tls.Config{RootCAs: s.roots}},
		"anonymous":             {URLs: []string{s.plain}},
		"untrusted certificate": {URLs: []string{s.tls}, BindDN: admin, Password: password},
		"no such base":          {URLs: []string{s.plain}, BindDN: admin, Password: password, AllowPlainPassword: true},
	} {
		if d.BaseDN = suffix; name == "no such base" {
			d.BaseDN = "dc=example,dc=net"
		}
		found, err := d.Exists(t.Context(), "alice@example.com")
		if found || err == nil {
			t.Errorf("%s: %v, %v; want an error", name, found, err)
		} else if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "guessed") {
			t.Errorf("%s: the password is in the error: %v", name, err)
		}
		d.Close()
	}
}

// A server that returns a referral for a part of the tree cannot know that a
// recipient does not exist.
func TestSlapdReferral(t *testing.T) {
	s := startSlapd(t)
	d := &Directory{URLs: []string{s.plain}, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true}
	defer d.Close()
	// The referrals of Active Directory at the top of a domain are for parts
	// without recipients.
	s.refer(t, "ou=dns", "ldap://ForestDnsZones.example.com/DC=ForestDnsZones,DC=example,DC=com")
	s.refer(t, "ou=zones", "ldap://DomainDnsZones.example.com/DC=DomainDnsZones,DC=example,DC=com")
	s.refer(t, "ou=conf", "ldap://example.com/CN=Configuration,DC=example,DC=com")
	if found, err := d.Exists(t.Context(), "mallory@example.com"); found || err != nil {
		t.Errorf("%v, %v; want no", found, err)
	}
	s.refer(t, "ou=branch", "ldap://branch.example.com/ou=branch,"+suffix)
	if found, err := d.Exists(t.Context(), "alice@example.com"); !found || err != nil {
		t.Errorf("a recipient of this server: %v, %v", found, err)
	}
	if found, err := d.Exists(t.Context(), "mallory@example.com"); found || err == nil || !strings.Contains(err.Error(), "branch.example.com") {
		t.Errorf("a recipient that may be on the other server: %v, %v; want an error that names the other server", found, err)
	}
	here := &Directory{URLs: d.URLs, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true, IgnoreReferrals: true}
	defer here.Close()
	if found, err := here.Exists(t.Context(), "mallory@example.com"); found || err != nil {
		t.Errorf("%v, %v; want no", found, err)
	}
}

// refer adds a referral to another server.
func (s *slapd) refer(t *testing.T, ou, url string) {
	t.Helper()
	c, err := ldap.DialURL(s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	e := ldap.NewAddRequest(ou+","+suffix, []ldap.Control{ldap.NewControlManageDsaIT(true)})
	e.Attribute("objectClass", []string{"referral", "extensibleObject"})
	e.Attribute("ou", []string{strings.TrimPrefix(ou, "ou=")})
	e.Attribute("ref", []string{url})
	if err := c.Add(e); err != nil {
		t.Fatal(err)
	}
}

// A relay refuses unknown recipients. When the directory is down, it defers mail,
// except for recipients in the cache.
func TestSlapdBehindTheRelay(t *testing.T) {
	s := startSlapd(t)
	d := &Directory{URLs: []string{s.tls}, BaseDN: suffix, BindDN: admin, Password: password,
		TLSConfig: &tls.Config{RootCAs: s.roots}, Timeout: 3 * time.Second}
	defer d.Close()
	domains, err := policy.NewDomains(policy.Domain{Name: "example.com", Directory: &policy.CachedDirectory{Directory: d}})
	if err != nil {
		t.Fatal(err)
	}
	relay := &policy.Relay{Domains: domains}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{relay.Agent()}})
	const hello = "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<x@example.net>\nS: 250\n"
	srv.Talk(t, "192.0.2.1", hello+`
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<mallory@example.com>
		S: 550 5.1.1
		C: RCPT TO:<office@example.com>
		S: 550 5.1.4 The recipient's address is ambiguous
		C: RCPT TO:<office@example.com>
		S: 550 5.1.4`)
	s.stop()
	srv.Talk(t, "192.0.2.1", hello+`
		C: RCPT TO:<alice@example.com>
		S: 250
		C: RCPT TO:<bob@example.com>
		S: 451 4.3.0`)
}

// A server may stop answering on an open connection, for example behind a stateful
// firewall. Waiting for it takes half of the time. The other half is for the next
// server.
func TestSlapdStopsAnswering(t *testing.T) {
	s := startSlapd(t)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	target := strings.TrimPrefix(s.plain, "ldap://")
	conns := make(chan *gate, 1)
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			conns <- newGate(c, target)
		}
	}()
	d := &Directory{URLs: []string{"ldap://" + front.Addr().String(), s.plain}, BaseDN: suffix, BindDN: admin, Password: password,
		AllowPlainPassword: true, Timeout: 2 * time.Second}
	defer d.Close()
	if found, err := d.Exists(t.Context(), "alice@example.com"); !found || err != nil {
		t.Fatalf("%v, %v", found, err)
	}
	first := <-conns
	defer first.close()
	first.shut()
	front.Close()
	if found, err := d.Exists(t.Context(), "alice@example.com"); !found || err != nil {
		t.Errorf("after the first server stopped answering: %v, %v", found, err)
	}
}

// gate forwards bytes until it is shut. The connections stay open.
type gate struct {
	near, far net.Conn
	mu        sync.Mutex // held while bytes are forwarded
}

func newGate(near net.Conn, target string) *gate {
	far, err := net.Dial("tcp", target)
	if err != nil {
		near.Close()
		return &gate{near: near, far: near}
	}
	g := &gate{near: near, far: far}
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		go func() {
			b := make([]byte, 4096)
			for {
				n, err := from.Read(b)
				if err != nil {
					return
				}
				g.mu.Lock()
				_, err = to.Write(b[:n])
				g.mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	}
	return g
}

func (g *gate) shut() { g.mu.Lock() }

func (g *gate) close() {
	g.near.Close()
	g.far.Close()
	g.mu.Unlock()
}
