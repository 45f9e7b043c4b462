package rewrite

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

const rest = "To: b@example.net\r\n\r\nbody\r\n"

func relayBox(t testing.TB) *Mailbox {
	t.Helper()
	b, err := NewMailbox("relay@example.com", "alarm@example.com", "*.sales.example")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The From fields that machines write. The reply reaches the machine's address, if
// it has one.
func TestMailboxRewritesAuthors(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"From: scanner@printer.local\r\n", "From: relay@example.com\r\nReply-To: scanner@printer.local\r\n"},
		{"From: Scan Room 4 <scanner@printer.local>\r\n", "From: Scan Room 4 <relay@example.com>\r\nReply-To: Scan Room 4 <scanner@printer.local>\r\n"},
		{"FROM : \"Scan, Room 4\"\r\n <scanner@printer.local>\r\n", "From: \"Scan, Room 4\" <relay@example.com>\r\nReply-To: \"Scan, Room 4\"\r\n <scanner@printer.local>\r\n"},
		{"From: =?utf-8?Q?B=C3=BCro?= <scanner@printer.local>\r\n", "From: =?utf-8?Q?B=C3=BCro?= <relay@example.com>\r\nReply-To: =?utf-8?Q?B=C3=BCro?= <scanner@printer.local>\r\n"},
		{"From: B\xfcro <scanner@printer.local>\r\n", "From: B\xfcro <relay@example.com>\r\nReply-To: B\xfcro <scanner@printer.local>\r\n"},
		{"From: Büro <scanner@printer.local>\r\n", "From: Büro <relay@example.com>\r\nReply-To: Büro <scanner@printer.local>\r\n"},
		{"From: scanner@printer.local (Scanner)\r\n", "From: relay@example.com\r\nReply-To: scanner@printer.local (Scanner)\r\n"},
		{"From: \"scanner@printer.local\" <scanner@printer.local>\r\n", "From: \"scanner@printer.local\" <relay@example.com>\r\nReply-To: \"scanner@printer.local\" <scanner@printer.local>\r\n"},
		{"From: scanner@printer.local <scanner@printer.local>\r\n", "From: relay@example.com\r\nReply-To: scanner@printer.local\r\n"},
		{"From: a@one.example, b@two.example\r\n", "From: relay@example.com\r\nReply-To: a@one.example, b@two.example\r\n"},
		{"From: team: a@one.example, b@two.example;\r\n", "From: relay@example.com\r\nReply-To: team: a@one.example, b@two.example;\r\n"},
		{"From: a@one.example\r\nSubject: x\r\nFrom: b@two.example\r\n", "From: relay@example.com\r\nReply-To: a@one.example,\r\n b@two.example\r\nSubject: x\r\n"},
		// No address that a reply could reach.
		{"Subject: no author\r\n", "Subject: no author\r\n" + "To: b@example.net\r\nFrom: relay@example.com\r\n"},
		{"From:\r\n", "From: relay@example.com\r\n"},
		{"From: <>\r\n", "From: relay@example.com\r\n"},
		{"From: scanner\r\n", "From: relay@example.com\r\n"},
		{"From: a@b@c <\r\n", "From: relay@example.com\r\n"},
		{"From: (not closed a@one.example\r\n", "From: relay@example.com\r\n"},
		// A Reply-To field of the message stays, a Sender field of another mailbox does not.
		{"From: a@one.example\r\nReply-To: desk@example.com\r\n", "From: relay@example.com\r\nReply-To: desk@example.com\r\n"},
		{"Sender: root@one.example\r\nFrom: a@one.example\r\n", "From: relay@example.com\r\nReply-To: a@one.example\r\n"},
		// Mail of the mailbox itself does not change.
		{"From: Relay <RELAY@Example.com>\r\nSender: relay@example.com\r\n", "From: Relay <RELAY@Example.com>\r\nSender: relay@example.com\r\n"},
		{"From: relay@example.com, a@one.example\r\n", "From: relay@example.com\r\nReply-To: relay@example.com, a@one.example\r\n"},
	} {
		want := c.want + rest
		if strings.Contains(c.want, "To: b@") {
			want = c.want + "\r\nbody\r\n"
		}
		got := agenttest.Relay(t, "root@one.example", []string{"b@example.net"}, c.header+rest, relayBox(t).Agent())
		if got.Data != want || got.From != "relay@example.com" {
			t.Errorf("%q became, from %s,\n%q\nwant\n%q", c.header, got.From, got.Data, want)
		}
	}
}

// The reverse-path and the author become one mailbox.
func TestMailboxKeepsSenders(t *testing.T) {
	for _, c := range []struct{ from, author, wantFrom, wantAuthor string }{
		{"a@one.example", "a@one.example", "relay@example.com", "relay@example.com"},
		{"alarm@example.com", "Alarm@example.com", "alarm@example.com", "Alarm@example.com"},
		{"alarm@example.com", "panel@local", "alarm@example.com", "alarm@example.com"},
		{"root@local", "alarm@example.com", "alarm@example.com", "alarm@example.com"},
		{"alarm@example.com", "x@eu.sales.example", "alarm@example.com", "x@eu.sales.example"},
		{"x@sales.example", "x@notsales.example", "x@sales.example", "x@sales.example"},
		{"", "alarm@example.com", "", "alarm@example.com"},
		{"", "panel@local", "", "relay@example.com"},
	} {
		got := agenttest.Relay(t, c.from, []string{"b@example.net"}, "From: "+c.author+"\r\n"+rest, relayBox(t).Agent())
		if author := got.Message.Header.Get("From"); got.From != c.wantFrom || author != c.wantAuthor {
			t.Errorf("from %s by %s became from %s by %s, want from %s by %s", c.from, c.author, got.From, author, c.wantFrom, c.wantAuthor)
		}
	}
}

func TestMailboxErrors(t *testing.T) {
	for want, args := range map[string][]string{
		`"example.com" is not an address`: {"example.com"},
		`"" is not an address`:            {""},
		`"a b@x" is not an address`:       {"a b@x"},
		`sender "x y"`:                    {"a@example.com", "x y"},
		`sender "*.a@b.example"`:          {"a@example.com", "*.a@b.example"},
	} {
		if _, err := NewMailbox(args[0], args[1:]...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestComplete(t *testing.T) {
	c := &Complete{Domain: "example.com"}
	for in, want := range map[string]string{
		"From: scanner":                       "From: scanner@example.com",
		"From: <scanner>":                     "From: <scanner@example.com>",
		"From: Scan Room 4 <scan.4>":          "From: Scan Room 4 <scan.4@example.com>",
		"FROM: \"a@b\" <scanner>":             "FROM: \"a@b\" <scanner@example.com>",
		"To: x@y.example,\r\n\tBob <bob>":     "To: x@y.example,\r\n\tBob <bob@example.com>",
		"Cc:bob":                              "Cc:bob@example.com",
		"Reply-To: bob":                       "Reply-To: bob@example.com",
		"From: scanner@printer.local":         "",
		"From: Scan Room 4":                   "",
		"From: \"scanner\"":                   "",
		"From: (scanner)":                     "",
		"From: (a <scanner>":                  "",
		"From: x@y.example (was <scanner>":    "",
		"From: <>":                            "",
		"From:":                               "",
		"To: undisclosed-recipients:;":        "",
		"Subject: scanner":                    "",
		"From: B\xfcro":                       "",
		"From: <a@b> <":                       "",
		"From: x <y z>":                       "",
		"To: Doe, John <john>":                "To: Doe, John <john@example.com>",
		"Disposition-Notification-To: <john>": "Disposition-Notification-To: <john@example.com>",
	} {
		got := agenttest.Relay(t, "a@one.example", []string{"b@example.net"}, in+"\r\nX: y\r\n\r\nbody\r\n", c.Agent())
		if want == "" {
			want = in
		}
		if want += "\r\nX: y\r\n\r\nbody\r\n"; got.Data != want {
			t.Errorf("%q became %q", in, got.Data)
		}
	}
	for _, bad := range []string{"", "a b", "a@example.com"} {
		if (&Complete{Domain: bad}).Validate() == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// After the agents, a message has one author, who may send.
func FuzzMailbox(f *testing.F) {
	f.Add("From: Scan <scanner>\r\nSender: x@y\r\nFrom: (c \"\r\n")
	f.Add("From: a: b@c, d <e@f>;\r\n")
	f.Add("Reply-To : x\r\n\tFrom: y\r\n")
	f.Fuzz(func(t *testing.T, section string) {
		if header.Check(section) != nil {
			return
		}
		b, m := relayBox(t), message(t, section)
		if err := m.Header.Replace((&Complete{Domain: "example.com"}).field); err != nil {
			t.Fatal(err)
		}
		if err := b.rewrite(m); err != nil {
			t.Fatal(err)
		}
		from := m.Header.Values("From")
		if len(from) != 1 || !b.keepsAll(from[0]) {
			t.Fatalf("%q became From: %q", section, from)
		}
		if m.From != b.address && !b.Keeps(m.From) {
			t.Fatalf("%q: from %s", section, m.From)
		}
	})
}

// The time grows linearly with the size of the field.
func TestMailboxDoubling(t *testing.T) {
	box, c := relayBox(t), &Complete{Domain: "example.com"}
	doubling.Time(t, map[string]func(string){
		"From": func(text string) {
			m := &smtpserver.Message{From: "root@one.example"}
			if m.Header.Append("From: "+text+"\r\n") == nil {
				box.rewrite(m)
			}
		},
		"Complete": func(text string) { c.value(text) },
	}, append([]string{"a@b,", "a <b@c>,", "a:b@c;", "<", "((", "\r\nFrom: a@b"}, doubling.Units...))
}

func message(t testing.TB, section string) *smtpserver.Message {
	t.Helper()
	m := &smtpserver.Message{From: "root@one.example"}
	if err := m.Header.Append(section); err != nil {
		t.Skip(err)
	}
	return m
}
