package main

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A relay of the organization is in front of the edge, and its address is on a DNS
// list. Its mail is accepted, and the lists and SPF apply to the host from which it
// received the mail.
func TestInternalHops(t *testing.T) {
	t.Parallel()
	const relay = "127.0.0.4"
	w := newWorld(t)
	organization := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr))
	w.start("-filters.connection.internal", relay, "-filters.reputation.block-level", "1", "-filters.reputation.min-points", "1")
	from := func(client string) string {
		return message("carol@example.net", "alice@example.com", "C: Received: from client.test (client.test ["+client+"]) by relay.example.com with ESMTP; Sat, 21 Nov 2026 22:00:00 +0000\n")
	}
	for client, want := range map[string]string{"127.0.0.1": "spf=pass", "127.0.0.9": "spf=fail"} { // example.net: ip4:127.0.0.1 -all
		w.talk(relay, w.internet, greeting+from(client))
		if m := organization.Inbox.Next(t); !strings.Contains(m.Text, want) {
			t.Errorf("from %s, no %s in\n%s", client, want, m.Text)
		}
	}
	w.talk(relay, w.internet, greeting+strings.TrimSuffix(from("127.0.0.6"), "S: 250\n")+"S: 550 5.7.1\n") // on the list
	// The relay has no reputation, although its clients try unknown recipients.
	w.talk(relay, w.internet, greeting+"C: MAIL FROM:<x@example.net>\nS: 250\n"+strings.Repeat("C: RCPT TO:<unknown@example.com>\nS: 550 5.1.1\n", 5))
	w.talk(relay, w.internet, greeting+from("127.0.0.1"))
	organization.Inbox.Next(t)
	w.p.Stop(t)
}

// Clients are judged by their names: the one without a PTR record is refused, and one
// that greets with another name is marked.
func TestClientNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	organization := smtptest.NewServer(t, nil)
	w.write("HOSTS", hosts(organization.Addr))
	w.start("-filters.client-name.no-ptr", "refuse", "-filters.client-name.helo", "tag")
	w.talk("127.0.0.9", w.internet, greeting+"C: MAIL FROM:<carol@example.net>\nS: 250\nC: RCPT TO:<alice@example.com>\nS: 550 5.7.25\nC: RCPT TO:<bob@example.com>\nS: 250")
	for helo, marked := range map[string]bool{"client.test": false, "other.test": true} {
		w.talk("127.0.0.1", w.internet, strings.Replace(greeting, "client.test", helo, 1)+message("carol@example.net", "alice@example.com", ""))
		if m := organization.Inbox.Next(t); strings.Contains(m.Text, "X-Client-Name: helo-mismatch") != marked {
			t.Errorf("%s, marked %v:\n%s", helo, marked, m.Text)
		}
	}
	w.p.Stop(t)
}
