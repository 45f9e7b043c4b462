package tracking

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A line reads back as it was written, whatever its columns contain.
func FuzzField(f *testing.F) {
	for _, s := range []string{"", "bob@example.net", "Lunch, perhaps", `"Lunch"`, " led by a space", "\u2003and by another", `\.`, `\x`,
		"two\r\nlines", "\x00\x7f\u0085\u2028\u202e", "Mahlzeit, jörg", "\xff\xfe", "\ttab", "=HYPERLINK(\"x\")", strings.Repeat("ä", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := record{dateTime: "2026-11-21T12:00:00.000Z", messageSubject: s, senderAddress: s, directionality: "Incoming"}
		line := r.append(nil)
		if bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: %q", s, line)
		}
		fields, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		e, err := entry(fields, 1)
		if err != nil || len(s) <= maxField && (e.Columns["message-subject"] != s || e.Sender != s) || e.Columns["directionality"] != "Incoming" {
			t.Fatalf("%q reads back as %q, %v", s, e.Columns["message-subject"], err)
		}
	})
}

func TestAddresses(t *testing.T) {
	for s, want := range map[string][]string{
		"":                      nil,
		"a@b":                   {"a@b"},
		"a@b;c@d":               {"a@b", "c@d"},
		`"a;b"@c;d@e`:           {`"a;b"@c`, "d@e"},
		`"a\";b"@c;"x\\"@y;d@e`: {`"a\";b"@c`, `"x\\"@y`, "d@e"},
		`"never closed;a@b;c@d`: {`"never closed;a@b;c@d`},
		`back\slash@a;b@c`:      {`back\slash@a`, "b@c"},
	} {
		if got := addresses(s); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
}

// The columns of mail that was refused, and of a message with a priority.
func TestRefusedColumns(t *testing.T) {
	l := &Log{Hostname: "relay.example.com"}
	from := queue.Origin{Connector: "in", ClientAddr: "192.0.2.1", ClientHelo: "pc.example.com"}
	for _, test := range []struct {
		e    queue.Event
		want map[int]string
	}{
		{queue.Event{Kind: queue.EventReject, Origin: from, Text: "relay", Count: 312, Recipients: []queue.EventRecipient{{Reply: "550 5.7.1 No"}}},
			map[int]string{eventID: "REJECT", eventSource: "SMTP", clientIP: "192.0.2.1", clientHostname: "pc.example.com", serverHostname: "relay.example.com",
				connectorID: "in", recipientStatus: "550 5.7.1 No", recipientAddress: "", messageInfo: "count=312", sourceContext: "relay", recipientCount: "", returnPath: ""}},
		{queue.Event{Kind: queue.EventReject, Origin: from, From: "a@example.org", Recipients: []queue.EventRecipient{{Reply: "550 5.7.1 No"}}},
			map[int]string{senderAddress: "a@example.org", returnPath: "a@example.org", totalBytes: ""}},
		{queue.Event{Kind: queue.EventQuarantine, ID: "m1", Related: "q@example.com", Recipients: []queue.EventRecipient{{Addr: "b@example.com"}}},
			map[int]string{eventID: "QUARANTINE", eventSource: "AGENT", relatedRecipientAddress: "q@example.com", messageInfo: "event=1041", recipientCount: "1", returnPath: "<>"}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1", Priority: -3}, map[int]string{messageInfo: "event=1019; priority=-3", customData: "S:DeliveryPriority=Low"}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1", Priority: 4, Labels: map[string]string{"tenant": "acme"}},
			map[int]string{messageInfo: "event=1019; priority=4", customData: "S:DeliveryPriority=High; tenant=acme"}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1"}, map[int]string{customData: "", directionality: "Incoming", serverIP: ""}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1", Origin: queue.Origin{ServerAddr: "192.0.2.25", Internal: true}},
			map[int]string{serverIP: "192.0.2.25", serverHostname: "relay.example.com", directionality: "Originating", messageInfo: "event=1019"}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1", Origin: queue.Origin{Identity: "bob", Internal: true}}, map[int]string{directionality: "Originating", messageInfo: "event=1019; login=yes"}},
		{queue.Event{Kind: queue.EventReceive, ID: "m1", System: true}, map[int]string{directionality: "Originating", messageInfo: "event=1017"}},
		{queue.Event{Kind: queue.EventSend, ID: "m1", Origin: queue.Origin{ServerAddr: "192.0.2.25", Internal: true}, Host: "mx.example.net", Addr: "192.0.2.26:25"},
			map[int]string{serverIP: "192.0.2.26", directionality: "Originating", messageInfo: "event=1031"}},
		{queue.Event{Kind: queue.EventSend, ID: "m1", Host: "mailbox.example.com", Addr: "/run/lmtp", Final: true}, map[int]string{messageInfo: "event=1023", serverIP: "/run/lmtp"}},
		{queue.Event{Kind: queue.EventDefer, ID: "m1", Addr: "[2001:db8::1]:25"}, map[int]string{serverIP: "2001:db8::1"}},
		{queue.Event{Kind: queue.EventTransfer, ID: "m1", Host: "mx.example.net", Addr: "192.0.2.25"}, map[int]string{eventID: "BEGINTRANSFER",
			eventSource: "SMTP", messageInfo: "event=1020", serverIP: "192.0.2.25", serverHostname: "mx.example.net"}},
	} {
		r := l.record(&test.e)
		for column, want := range test.want {
			if r[column] != want {
				t.Errorf("%v: %s is %q, want %q", test.e.Kind, columns[column], r[column], want)
			}
		}
	}
}
