package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const asMain = "CUSTOMHOOK_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// judge is the application's HTTP service.
func judge(w http.ResponseWriter, r *http.Request) {
	var q question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch {
	case q.From == "spammer@example.net":
		json.NewEncoder(w).Encode(answer{"refuse", "We know you,\r\n" + q.From})
	case q.To == "later@example.com":
		json.NewEncoder(w).Encode(answer{"defer", "The mailbox is being moved"})
	case q.To == "nonsense@example.com":
		json.NewEncoder(w).Encode(answer{"perhaps", ""})
	case q.To == "broken@example.com":
		http.Error(w, "broken", http.StatusInternalServerError)
	default:
		json.NewEncoder(w).Encode(answer{"accept", ""})
	}
}

// insider is the address of one of our own machines. The internet is 127.0.0.1:
// Linux has all of 127.0.0.0/8.
const insider = "127.0.0.2"

func TestApplicationsPolicy(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(judge))
	defer service.Close()
	old, canary, internet := &peers.Postfix{Domains: "example.com"}, &peers.Postfix{Domains: "example.com"}, &peers.Postfix{Domains: "example.net"}
	peers.StartPostfixes(t, old, canary, internet)
	dns := dnstest.New(t, "example.net. MX 10 mx.example.net.\nmx.example.net. A 127.0.0.1")
	_, internetPort, _ := net.SplitHostPort(internet.Addr)
	p := peers.StartSelf(t, asMain, 1, "-listen", "127.0.0.1:0", "-domain", "example.com", "-allow", insider, "-ask", service.URL,
		"-old", old.Addr, "-new", canary.Addr, "-percent", "50", "-hostname", "relay.example.com", "-spool", t.TempDir(),
		"-dns", dns.Addr, "-port", internetPort)
	addr := p.Addrs[0]

	// The client gets the answer of the service.
	smtptest.Talk(t, addr, `
		S: 220
		C: EHLO mx.example.net
		S: 250
		C: MAIL FROM:<carol@example.net>
		S: 250
		C: RCPT TO:<later@example.com>
		S: 451 4.7.1 The mailbox is being moved
		C: RCPT TO:<nonsense@example.com>
		S: 451 4.3.0
		C: RCPT TO:<broken@example.com>
		S: 451 4.3.0
		C: RCPT TO:<bob@example.org>
		S: 550 5.7.1 Unable to relay
		C: RSET
		S: 250
		C: MAIL FROM:<spammer@example.net>
		S: 250
		C: RCPT TO:<bob@example.com>
		S: 550 5.7.1 We know you
		C: NOOP
		# line ends in the text of the service do not split the reply
		S: 250
	`)

	// Half of the mailboxes are on the new system. A hash selects them.
	for to, at := range map[string]*peers.Postfix{"alice@example.com": old, "Bob@Example.com": canary} {
		if chosen(to, "example.com", 50) != (at == canary) {
			t.Fatalf("the hash of %s", to)
		}
		if out, err := peers.Swaks(t, "--server", addr, "--from", "carol@example.net", "--to", to,
			"--header", "X-Origin: internal", "--header", "Subject: for "+to); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
		m := at.Next(t)
		if !strings.Contains(m, "Subject: for "+to) || !strings.Contains(m, "\nX-Origin: external\n") || strings.Contains(m, "X-Origin: internal") {
			t.Errorf("%s received\n%s", to, m)
		}
	}
	// Mail of our own machines is tagged as internal. The service is asked about
	// it too.
	if out, err := peers.Swaks(t, "--server", addr, "--local-interface", insider, "--from", "alice@example.com", "--to", "carol@example.net"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	if m := internet.Next(t); !strings.Contains(m, "X-Original-To: carol@example.net\n") || !strings.Contains(m, "\nX-Origin: internal\n") {
		t.Errorf("the internet received\n%s", m)
	}
	if out, err := peers.Swaks(t, "--server", addr, "--local-interface", insider, "--from", "spammer@example.net", "--to", "carol@example.net"); err == nil {
		t.Errorf("mail that the service refuses is accepted from our own machines:\n%s", out)
	}
	p.Stop(t)
}

func TestChosen(t *testing.T) {
	if chosen("alice@example.org", "example.com", 100) {
		t.Error("a mailbox of another domain is chosen")
	}
	n := 0
	for _, a := range "abcdefghijklmnopqrstuvwxyz" {
		for _, b := range "abcdefghijklmnopqrstuvwxyz" {
			if chosen(string([]rune{a, b})+"@example.com", "Example.com", 10) {
				n++
			}
		}
	}
	if n < 40 || n > 100 { // of 676; the hash never changes
		t.Errorf("%d of 676 mailboxes are chosen, want about 68", n)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	const good = "-domain example.com -ask http://127.0.0.1/ -old old.example.com -new new.example.com -spool /nowhere/at/all "
	for args, want := range map[string]string{
		"":                                 "-domain, -old, -new, -spool: are required",
		good + "-ask 127.0.0.1":            `-ask: "127.0.0.1" is not an http`,
		good + "-percent 101":              "-percent: 101 is not",
		good + "-allow 10.0.0.0/8,printer": `for flag -allow: policy: network "printer"`,
		good + "-new host:0":               "connector new: SmartHosts[0]",
		good + "-allow 0.0.0.0/0 -spool " + t.TempDir(): "open relay",
	} {
		if got := peers.RefuseSelf(t, asMain, strings.Fields(args)...); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %q", args, got, want)
		}
	}
}
