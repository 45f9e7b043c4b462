package policy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestReceivedField(t *testing.T) {
	server := func() *smtpserver.Server {
		return &smtpserver.Server{TLSConfig: selfSigned(t), Auth: passwords()}
	}
	greet := func(helo string) string {
		return "S: 220\nC: " + helo + "\nS: 250\n"
	}
	send := `
		C: MAIL FROM:<someone@example.net>
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 250
	` + body + "S: 250\n"
	const date = `; \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n`
	for _, tt := range []struct {
		name, from, script, want string
	}{
		{"plain", stranger, greet("EHLO client.example") + send,
			`Received: from client\.example \(\[192\.0\.2\.1\]\)\r\n\tby relay\.example\.com with ESMTP id \S+\r\n\tfor <alice@example\.com>` + date},
		{"old", stranger, greet("HELO client.example") + send, `by relay\.example\.com with SMTP id`},
		{"IPv6", "2001:db8::1", greet("EHLO client.example") + send, `from client\.example \(\[IPv6:2001:db8::1\]\)\r\n`},
		{"literal", stranger, greet("EHLO [192.0.2.1]") + send, `from \[192\.0\.2\.1\] \(\[192\.0\.2\.1\]\)`},
		{"TLS and AUTH", stranger, greet("EHLO client.example") + "C: STARTTLS\nS: 220\nTLS\nC: EHLO client.example\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\n" + send,
			`\(\[192\.0\.2\.1\]\)\r\n\t\(version=TLS1\.3 cipher=TLS_\w+\)\r\n\tby relay\.example\.com with ESMTPSA id`},
		{"two recipients do not see each other", stranger, greet("EHLO client.example") +
			strings.Replace(send, "C: DATA", "C: RCPT TO:<bob@example.com>\nS: 250\nC: DATA", 1),
			`with ESMTP id \S+; \w{3}, `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, out := install(t, organization(), server())
			srv.Talk(t, tt.from, tt.script)
			got := text(t, out.only(t))
			field, _, _ := strings.Cut(got, "Subject:")
			if !regexp.MustCompile(tt.want).MatchString(field) {
				t.Errorf("field %q, want %s", field, tt.want)
			}
			if strings.Count(field, "Received:") != 1 || !regexp.MustCompile(date+"$").MatchString(field) {
				t.Errorf("field %q: not one, or without its date", field)
			}
			_, when, _ := strings.Cut(field, "; ")
			if at, err := mail.ParseDate(strings.TrimSpace(when)); err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("date %v, %v", at, err)
			}
		})
	}
}

// With HideAuthenticated, the field shows neither the name nor the address of a client
// that has authenticated, also if an agent has accepted the message before the Trace. It
// shows other clients.
func TestReceivedHidesUsers(t *testing.T) {
	for _, accept := range []bool{false, true} {
		gate := organization()
		gate.HideAuthenticated = true
		if accept {
			gate.Rules = []smtpserver.Agent{{Name: "accept", EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return smtpserver.ErrAccept }}}
		}
		srv, out := install(t, gate, &smtpserver.Server{TLSConfig: selfSigned(t), Auth: passwords()})
		const send = "C: MAIL FROM:<someone@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\n" + body + "S: 250\n"
		srv.Talk(t, stranger, "S: 220\nC: EHLO laptop.example\nS: 250\nC: STARTTLS\nS: 220\nTLS\nC: EHLO laptop.example\nS: 250\nC: AUTH PLAIN AGFsaWNlAGVjaWxh\nS: 235\n"+
			strings.ReplaceAll(send, "someone@example.net", "alice@example.com")+"C: QUIT\nS: 221")
		field, _, _ := strings.Cut(text(t, out.only(t)), "Subject:")
		if !regexp.MustCompile(`^Received: from unknown\r\n\t\(version=TLS1\.3 cipher=\w+\)\r\n\tby relay\.example\.com with ESMTPSA id \S+\r\n\tfor <alice@`).MatchString(field) {
			t.Errorf("accepted early: %v: field %q", accept, field)
		}
		gate.Queue = nil
		srv, out = install(t, gate, &smtpserver.Server{})
		srv.Talk(t, stranger, "S: 220\nC: EHLO laptop.example\nS: 250\n"+send+"C: QUIT\nS: 221")
		if got := text(t, out.only(t)); !strings.HasPrefix(got, "Received: from laptop.example ([192.0.2.1])\r\n") {
			t.Errorf("a client without a login: %q", got)
		}
	}
}

// The field names old TLS versions, too.
func TestReceivedWithOldTLS(t *testing.T) {
	srv, out := install(t, organization(), &smtpserver.Server{TLSConfig: selfSigned(t), InsecureOldTLS: true})
	c, err := srv.Dial(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	smtptest.TalkOn(t, c, "S: 220\nC: EHLO client.example\nS: 250\nC: STARTTLS\nS: 220")
	old := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}})
	smtptest.TalkOn(t, old, "C: EHLO client.example\nS: 250\nC: MAIL FROM:<someone@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\n"+body+"S: 250")
	if got := text(t, out.only(t)); !strings.Contains(got, "\r\n\t(version=TLS1.0 cipher=TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA)\r\n\tby relay.example.com with ESMTPS id") {
		t.Errorf("content %q", got)
	}
}

// The field is ASCII for every recipient address.
func TestReceivedForClause(t *testing.T) {
	for to, want := range map[string]string{
		"alice@bücher.example":        "\r\n\tfor <alice@xn--bcher-kva.example>; ",
		"alice@BÜCHER。example":        "\r\n\tfor <alice@xn--bcher-kva.example>; ",
		"jörg@bücher.example":         "", // the local part has no ASCII form
		`"a b"@bücher.example`:        "\r\n\tfor <\"a b\"@xn--bcher-kva.example>; ",
		"alice@xn--bcher-kva.example": "\r\n\tfor <alice@xn--bcher-kva.example>; ",
	} {
		srv, out := install(t, &Gate{Domains: []Domain{{Name: "bücher.example"}}}, nil)
		srv.Talk(t, stranger, "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<x@example.net> SMTPUTF8\nS: 250\nC: RCPT TO:<"+to+">\nS: 250\n"+body+"S: 250")
		field, _, _ := strings.Cut(text(t, out.only(t)), "Subject:")
		if want == "" && strings.Contains(field, "for <") || !strings.Contains(field, want) || strings.ContainsFunc(field, func(r rune) bool { return r >= 0x80 }) {
			t.Errorf("%s: field %q, want %q", to, field, want)
		}
	}
}

func TestReceivedWithHostName(t *testing.T) {
	dns := fakeDNS{
		"PTR 192.0.2.1": "mail.client.example.", "A mail.client.example": "192.0.2.1",
		"PTR 192.0.2.2": "mail.client.example.", // not confirmed
		"PTR 192.0.2.3": "FAIL",
		"PTR 192.0.2.4": "a(b.example.", "A a(b.example": "192.0.2.4",
	}
	for from, want := range map[string]string{
		"192.0.2.1": "from client.example (mail.client.example [192.0.2.1])\r\n",
		"192.0.2.2": "from client.example ([192.0.2.2])\r\n",
		"192.0.2.3": "from client.example ([192.0.2.3])\r\n",
		"192.0.2.4": "from client.example ([192.0.2.4])\r\n",
		"192.0.2.5": "from client.example ([192.0.2.5])\r\n",
	} {
		srv, out := install(t, &Gate{Domains: []Domain{{Name: "example.com"}}, Resolver: dns, ReverseDNS: true}, nil)
		srv.Talk(t, from, envelope+body+"S: 250")
		got := text(t, out.only(t))
		if !strings.HasPrefix(got, "Received: "+want) {
			t.Errorf("content %q, want %q", got, want)
		}
		field, _, _ := strings.Cut(got, "\r\n\t")
		if ip, ok := fromClause(strings.TrimPrefix(field, "Received: ")); !ok || ip.String() != from {
			t.Errorf("the field %q is not parsed correctly: %v", field, ip)
		}
	}
}

// The HELO name cannot add anything to the header except the name, in the place
// of RFC 5321, 4.4.
func TestReceivedFromOddNames(t *testing.T) {
	for helo, want := range map[string]string{
		"my printer":                 "my%20printer",
		"a (comment)":                "a%20%28comment%29",
		"a)b":                        "a%29b",
		"a;b":                        "a%3Bb",
		"a\tb":                       "a%09b",
		"user@host":                  "user%40host",
		`"quoted"`:                   "%22quoted%22",
		"xn--\u00fc.example":         "xn--%C3%BC.example",
		"by.relay.example.with.SMTP": "by.relay.example.with.SMTP",
		"x ([203.0.113.9])":          "x%20%28[203.0.113.9]%29",
		strings.Repeat("(", 255):     strings.Repeat("%28", 85),
	} {
		want = strings.NewReplacer("[", "%5B", "]", "%5D").Replace(want)
		srv, out := install(t, organization(), nil)
		srv.Talk(t, stranger, fmt.Sprintf("S: 220\nR: %q\nS: 250\nC: MAIL FROM:<someone@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 250\n", "EHLO "+helo+"\r\n")+body+"S: 250")
		m := out.only(t)
		if m.Origin.ClientHelo != want {
			t.Errorf("%q: the HELO name in the queue is %q", helo, m.Origin.ClientHelo)
		}
		got := text(t, m)
		if !strings.HasPrefix(got, "Received: from "+want+" ([192.0.2.1])\r\n\tby relay.example.com with") {
			t.Errorf("%q: %q", helo, got)
		}
		if ip, ok := fromClause(strings.TrimPrefix(got, "Received: ")); !ok || ip.String() != stranger {
			t.Errorf("%q: parsed as from %v", helo, ip)
		}
	}
}

// FuzzReceived: the result is always one field that contains the client's
// address.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{"client.example", "[::1]", "a b", "a\r\nb", "ü.example", "\xff", "(", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, helo string) {
		safe := addr.SafeHelo(helo)
		if safe == "" {
			return
		}
		var h smtpserver.Header
		if err := h.Prepend("Received: from " + safe + " ([192.0.2.1])\r\n\tby x; y\r\n"); err != nil || h.Count("Received") != 1 {
			t.Errorf("%q: %v", helo, err)
		}
		if ip, ok := fromClause(h.Get("Received")); !ok || ip.String() != "192.0.2.1" {
			t.Errorf("%q: parsed as from %v", helo, ip)
		}
	})
}

// selfSigned is a certificate for tests, generated for each test.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"relay.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
