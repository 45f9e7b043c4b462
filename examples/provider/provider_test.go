package main

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROVIDER_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const customers = `# account  password  domains  host
branch  sesame-4711  branch.example,shop.example  192.0.2.25
boat    ahoy-0815    boat.example
`

// certificate writes a certificate of the provider and its key to files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	c := smtptest.Certificate(t, "mail.provider.example")
	k, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))),
		peers.File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})))
}

// login returns the script of a session over TLS, up to ATRN in the EHLO reply.
func login(account, password string) string {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + account + "\x00" + password))
	return `
		S: 220 mail.provider.example
		C: EHLO ` + account + `.example
		S: 250 STARTTLS
		C: STARTTLS
		S: 220
		TLS
		C: EHLO ` + account + `.example
		S: 250 AUTH PLAIN LOGIN
		C: AUTH PLAIN ` + plain + `
		S: 235
		C: EHLO ` + account + `.example
		S: 250 ATRN
	`
}

// etrn logs in to the account branch and sends ETRN. The reply is 253 with the
// number of messages, or 251 while the queue still counts them.
func etrn(t *testing.T, addr, node string) (reply string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secure := smtptest.TalkOn(t, conn, login("branch", "sesame-4711"))
	fmt.Fprintf(secure, "ETRN %s\r\n", node)
	lines, err := smtptest.ReadReply(bufio.NewReader(secure))
	if err != nil {
		t.Fatal(err)
	}
	smtptest.TalkOn(t, secure, "C: QUIT\nS: 221")
	return strings.Join(lines, "\n")
}

// Content that a faulty relay would change.
const letter = `From: carol@example.net
To: alice@branch.example
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
X-Folded: one
	two   three  

.
..two dots, and blanks at the end:   
8 bit: Grüße

From here on
`

func TestMailWaitsUntilETRN(t *testing.T) {
	server := (&peers.Postfix{Domains: "branch.example"}).Start(t)
	_, port, _ := strings.Cut(server.Addr, ":")
	dns := dnstest.New(t, "branch.example. MX 10 mail.provider.example.\nmail.provider.example. A 127.0.0.1")
	cert, key := certificate(t)
	addr := peers.FreeAddr(t)
	args := []string{"-listen", addr, "-customers", peers.File(t, strings.Replace(customers, "192.0.2.25", "127.0.0.1:"+port, 1)),
		"-cert", cert, "-key", key, "-hostname", "mail.provider.example", "-spool", t.TempDir(), "-dns", dns.Addr}
	p := peers.StartSelf(t, "PROVIDER_MAIN", 1, args...)
	// swaks ends the last line itself.
	for _, to := range []string{"alice@branch.example", "bob@branch.example"} {
		if out, err := peers.Swaks(t, "--server", addr, "--from", "carol@example.net", "--to", to, "--data", "@"+peers.File(t, strings.TrimSuffix(letter, "\n"))); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
	}

	// A client without an account and another customer cannot start delivery
	// and get no mail.
	smtptest.Talk(t, addr, `
		S: 220
		C: EHLO client.test
		S: 250 ETRN
		C: ETRN branch.example
		S: 459 4.7.1
		C: ATRN branch.example
		S: 530 5.7.0
		C: TURN
		S: 530 5.7.0
		C: QUIT
		S: 221
	`)
	smtptest.Talk(t, addr, login("boat", "ahoy-0815")+`
		C: ETRN branch.example
		S: 459 4.7.1
		C: ETRN #branch
		S: 459 4.7.1
		C: ATRN branch.example
		S: 450 4.7.1 ATRN request refused
		C: ATRN boat.example,branch.example
		S: 450 4.7.1 ATRN request refused
		C: TURN now
		S: 501 5.5.4
	`+ // nor can it use another customer's sender address
		`
		C: MAIL FROM:<alice@branch.example>
		S: 550 5.7.1
		C: QUIT
		S: 221
	`)

	// After a crash the accepted messages are still in the spool. None of them
	// was sent.
	p.Kill()
	p = peers.StartSelf(t, "PROVIDER_MAIN", 1, args...)
	if log := p.Log(); !strings.Contains(log, "messages=2 recipients=2") {
		t.Errorf("two messages were accepted:\n%s", log)
	}
	if log := server.Log(t); strings.Contains(log, "carol@example.net") {
		t.Errorf("mail was sent before it was requested:\n%s", log)
	}
	if reply := etrn(t, addr, "branch.example"); !strings.HasPrefix(reply, "25") {
		t.Errorf("ETRN: %s", reply)
	}
	for range 2 {
		if m := server.Next(t); !strings.HasSuffix(m, "\n"+letter) || !strings.Contains(m, "by mail.provider.example") {
			t.Errorf("the customer's server received\n%q", m)
		}
	}
	p.Stop(t)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	cert, key := certificate(t)
	good := map[string]string{"customers": peers.File(t, customers), "cert": cert, "key": key, "spool": t.TempDir()}
	for want, change := range map[string][2]string{
		"-customers: is required":                         {"customers", ""},
		"-customers: open /nowhere/at/all":                {"customers", "/nowhere/at/all"},
		"has no customers":                                {"customers", peers.File(t, "# none\n\n")},
		"line 2: want account":                            {"customers", peers.File(t, "#\nbranch sesame-4711\n")},
		"a password cannot begin with #":                  {"customers", peers.File(t, "branch #sesame-4711 branch.example\n")},
		"line 2: the domain Boat.Example is listed twice": {"customers", peers.File(t, "boat a boat.example\nship b Boat.Example\n")},
		"line 2: the account Boat is listed twice":        {"customers", peers.File(t, "boat a boat.example\nBoat b ship.example\n")},
		"line 1: a domain is empty":                       {"customers", peers.File(t, "boat a boat.example,\n")},
		`accepted domain "*"`:                             {"customers", peers.File(t, "boat a *\n")},
		`connector boat: `:                                {"customers", peers.File(t, "boat a boat.example boat.example:smtp\n")},
		"-cert: -cert and -key are required":              {"cert", ""},
		"-key: open /nowhere/at/all":                      {"key", "/nowhere/at/all"},
		"-spool: is required":                             {"spool", ""},
		"-keep: 0s is not a queue lifetime":               {"keep", "0s"},
	} {
		settings := maps.Clone(good)
		settings[change[0]] = change[1]
		var args []string
		for name, value := range settings {
			args = append(args, "-"+name+"="+value)
		}
		if _, err := assemble(args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// An account may have the name of a domain.
func TestAccountWithTheNameOfItsDomain(t *testing.T) {
	all, err := parseCustomers("boat.example a boat.example\nshop b branch.example\nbranch.example c shop\n")
	if err != nil || len(all) != 3 {
		t.Errorf("%v, %v", all, err)
	}
}

// Case does not matter in the names of accounts: a customer can log in, request its mail
// and send mail.
func TestCaseOfAccounts(t *testing.T) {
	all, err := parseCustomers("Boat sesame-4711 boat.example\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := passwords(all)(t.Context(), nil, "bOAT", "sesame-4711"); err != nil {
		t.Error(err)
	}
	if err := passwords(all)(t.Context(), nil, "boat", "Sesame-4711"); err == nil {
		t.Error("the case of the password does not matter")
	}
	if own, err := policy.SendersOf(senders(all))(t.Context(), "bOAT", "captain@boat.example"); !own || err != nil {
		t.Errorf("%v, %v", own, err)
	}
}

// A # inside a password belongs to it, and a byte order mark does not belong to the
// first account.
func TestCustomersFromNotepad(t *testing.T) {
	all, err := parseCustomers("branch a#b branch.example # the branch\r\n#boat x y\r\n")
	if err != nil || len(all) != 1 || all[0].password != "a#b" || all[0].account != "branch" {
		t.Errorf("%v, %v", all, err)
	}
}

// The file of the customers has passwords.
func TestExposedCustomers(t *testing.T) {
	cert, key := certificate(t)
	file := peers.File(t, customers)
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		p := program.Program{Name: "provider", New: func() program.Gateway { return new(provider) }}
		status := p.Run([]string{"-check", "-customers", file, "-cert", cert, "-key", key, "-hostname", "mail.provider.example", "-spool", t.TempDir()}, &out, &errs)
		if got := strings.Contains(out.String(), "warning: customers: other users can read"); status != 0 || got != want {
			t.Errorf("mode %o: status %d\n%s%s", mode, status, &out, &errs)
		}
	}
}
