package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// dkimKey writes a key for DKIM.
func (w *world) dkimKey() (path string) {
	w.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.file("dkim.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
}

// The settings of the packages antispam and sendsec reach the mail, in the right
// direction. These packages have the tests with the real programs.
func TestFiltersAndSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization, internet := smtptest.NewServer(t, nil), smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr), "PORT", port(internet.Addr))
	w.start("-send.dkim.domain", "example.com", "-send.dkim.selector", "edge", "-send.dkim.key", w.dkimKey(), "-filters.arc", "seal",
		"-filters.rules", w.file("rules", "rule external mail\n  if not from example.com\n  then subject \"[EXTERNAL] \"\n"),
		"-trace-sender", "carol@example.net", "-filters.attachments.names", "*.exe", "-filters.rates", "sender; messages=2; per=1h",
		"-filters.disclaimer.text", w.file("disclaimer.txt", "Confidential.\n"), "-filters.disclaimer.from", "example.com")

	in := message("carol@example.net", "alice@example.com", "")
	w.talk("127.0.0.1", w.internet, greeting+in)
	has(t, organization.Inbox.Next(t).Text, "Subject: [EXTERNAL] hello", "ARC-Seal: i=1;", "Authentication-Results: edge.example.com;")
	if traced, err := filepath.Glob(filepath.Join(w.dir, "logs", "PipelineTracing", "MessageSnapshots", "*", "Original.eml")); err != nil || len(traced) != 1 {
		t.Errorf("traced: %v, %v", traced, err)
	}
	out := message("alice@example.com", "carol@example.net", "")
	w.talk(organizationAddr, w.organization, greeting+out)
	has(t, internet.Inbox.Next(t).Text, "DKIM-Signature: ", "d=example.com", "\r\nSubject: hello", "Confidential.")

	// The filters are for mail from the internet.
	program := "C: Content-Disposition: attachment; filename=setup.exe\n"
	refused := func(to, header, reply string) string {
		return greeting + strings.TrimSuffix(message("dave@example.net", to, header), "S: 250\n") + reply
	}
	w.talk("127.0.0.1", w.internet, refused("alice@example.com", program, "S: 550 5.7.1\n"))
	w.talk(organizationAddr, w.organization, greeting+message("alice@example.com", "carol@example.net", program))
	has(t, internet.Inbox.Next(t).Text, "setup.exe")
	w.talk("127.0.0.1", w.internet, greeting+in+"C: MAIL FROM:<carol@example.net>\nS: 450 4.7.1\n")
	w.p.Stop(t)
}

// has checks that a message has the texts.
func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
