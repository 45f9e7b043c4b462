package rewrite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func table(t *testing.T) *Map {
	t.Helper()
	m, err := NewMap(
		Entry{Internal: "alice@corp.example", External: "a.smith@example.com"},
		Entry{Internal: "corp.example", External: "example.com", Except: []string{"root@corp.example"}},
		Entry{Internal: "*.corp.example", External: "example.com", Except: []string{"lab.corp.example"}},
		Entry{Internal: "*.deep.corp.example", External: "deep.example.com"},
		Entry{Internal: "old.example", External: "example.com", OutboundOnly: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMap(t *testing.T) {
	m := table(t)
	for _, c := range []struct{ in, out string }{
		{"alice@corp.example", "a.smith@example.com"},
		{"ALICE@Corp.Example", "a.smith@example.com"},
		{"bob@corp.example", "bob@example.com"},
		{"Bob@corp.example", "Bob@example.com"},
		{"root@corp.example", ""},
		{"bob@host.corp.example", "bob@example.com"},
		{"bob@lab.corp.example", ""},
		{"bob@a.deep.corp.example", "bob@deep.example.com"},
		{"bob@deep.corp.example", "bob@example.com"},
		{"bob@old.example", "bob@example.com"},
		{"bob@notcorp.example", ""},
		{`"a b"@corp.example`, `"a b"@example.com`},
		{`"Alice"@corp.example`, "a.smith@example.com"},
		{`"root"@corp.example`, ""},
		{"bob@example.net", ""}, {"postmaster", ""}, {"", ""},
	} {
		if got, ok := m.Out(c.in); got != c.out || ok != (c.out != "") {
			t.Errorf("Out(%s) = %q, %v, want %q", c.in, got, ok, c.out)
		}
	}
	for _, c := range []struct{ in, out string }{
		{"a.smith@example.com", "alice@corp.example"},
		{"A.Smith@EXAMPLE.COM", "alice@corp.example"},
		{`"a.smith"@example.com`, "alice@corp.example"},
		{"bob@example.com", "bob@corp.example"},
		{"root@example.com", ""},
		{"bob@deep.example.com", ""},
		{"bob@corp.example", ""}, {"postmaster", ""},
	} {
		if got, ok := m.In(c.in); got != c.out || ok != (c.out != "") {
			t.Errorf("In(%s) = %q, %v, want %q", c.in, got, ok, c.out)
		}
	}
}

func TestMapErrors(t *testing.T) {
	for want, es := range map[string][]Entry{
		"entry 1 (a@b.example, b.example): the fields Internal and External must": {{Internal: "a@b.example", External: "b.example"}},
		"must be two addresses or two domains":                                    {{Internal: "*.a@b.example", External: "a@c.example"}},
		"entry 2":                                                                 {{Internal: "a.example", External: "b.example"}, {Internal: "a.example", External: "c.example"}},
		"same External":                                                           {{Internal: "a.example", External: "c.example"}, {Internal: "b.example", External: "c.example"}},
		"is not a domain":                                                         {{Internal: "", External: "c.example"}},
		"exception":                                                               {{Internal: "a.example", External: "c.example", Except: []string{"x y"}}},
		"without SMTPUTF8":                                                        {{Internal: "jörg@a.example", External: "joerg@c.example"}},
	} {
		if _, err := NewMap(es...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", es, err, want)
		}
	}
}

func TestOnlyTheAddressesChange(t *testing.T) {
	m := table(t)
	for _, c := range []struct{ in, out string }{
		{" bob@corp.example", " bob@example.com"},
		{" Bob <bob@corp.example>", " Bob <bob@example.com>"},
		{" \"bob@corp.example\" <bob@corp.example>", " \"bob@corp.example\" <bob@example.com>"},
		{" \"a \\\" bob@corp.example\"\r\n\t<bob@corp.example> (bob@corp.example (alice@corp.example))", " \"a \\\" bob@corp.example\"\r\n\t<bob@example.com> (bob@corp.example (alice@corp.example))"},
		{"a@x.example,\r\n alice@corp.example,b@y.example", "a@x.example,\r\n a.smith@example.com,b@y.example"},
		{" team: bob@corp.example, alice@corp.example;", " team: bob@example.com, a.smith@example.com;"},
		{" =?utf-8?Q?bob@corp.example?= <c@d.example>", " =?utf-8?Q?bob@corp.example?= <c@d.example>"},
		{" \"a b\"@corp.example", " \"a b\"@example.com"},
		{" Jörg <bob@corp.example>", " Jörg <bob@example.com>"},
		{" <@relay.example:bob@corp.example>", " <@relay.example:bob@example.com>"},
		{" bob@corp.example.", " bob@example.com."},
		{" bob@[192.0.2.1] x@", " bob@[192.0.2.1] x@"},
		{" bob @\r\n corp.example ", " bob@example.com "},                // RFC 5322, 4.4
		{" \"bob\" @corp.example, bob x@y", " bob@example.com, bob x@y"}, // the quotes are not necessary
		{" Bob <bob @corp.example>", " Bob <bob@example.com>"},
		{" Bob <bob@ corp.example>", " Bob <bob@example.com>"},
		{" Bob <bob@corp. example>", " Bob <bob@example.com>"},
		{" bob@(c)corp.example", " bob@example.com"},
		{` Pete(A nice \) chap) <bob(his account)@corp.example(his host)>`, ` Pete(A nice \) chap) <bob@example.com(his host)>`}, // RFC 5322, A.5
		{" bob@corp.example <bob@corp.example>", " bob@example.com <bob@example.com>"},
		{" <bob@corp.example", " <bob@example.com"},
		{" x@" + strings.Repeat("a.", 2000) + "corp.example, bob@corp.example", " x@" + strings.Repeat("a.", 2000) + "corp.example, bob@example.com"},
	} {
		got, changed := rewriter(m.Out).addresses(c.in)
		if got != c.out || changed != (c.in != c.out) {
			t.Errorf("%q became %q (%v), want %q", c.in, got, changed, c.out)
		}
	}
}

const mail = "Received: from bob@corp.example by corp.example\r\n" +
	"From: Bob <bob@corp.example>\r\nSENDER : alice@corp.example\r\nReply-To: x@example.net,\r\n\tbob@host.corp.example\r\n" +
	"To: a.smith@example.com, Bob <bob@example.com>\r\nCc: carol@example.net\r\n" +
	"Message-ID: <1@corp.example>\r\nSubject: bob@corp.example\r\n\r\nbob@corp.example a.smith@example.com\r\n"

func TestOutbound(t *testing.T) {
	want := strings.NewReplacer("<bob@corp.example>", "<bob@example.com>", "SENDER : alice@corp.example", "SENDER : a.smith@example.com",
		"bob@host.corp.example", "bob@example.com").Replace(mail)
	got := agenttest.Relay(t, "alice@corp.example", []string{"a.smith@example.com"}, mail, (&Outbound{Map: table(t)}).Agent())
	if got.Data != want || got.From != "a.smith@example.com" || got.To[0] != "a.smith@example.com" {
		t.Errorf("from %s to %s\n%s\nwant\n%s", got.From, got.To, got.Data, want)
	}
	never := &Outbound{Map: table(t), When: func(*smtpserver.Session, *smtpserver.Message) bool { return false }}
	if got := agenttest.Relay(t, "", []string{"a.smith@example.com"}, mail, never.Agent()); got.Data != mail || got.From != "" {
		t.Errorf("When is false, but it was rewritten: %s\n%s", got.From, got.Data)
	}
}

// A From field that cannot be parsed could contain an internal address.
func TestFromFieldThatCannotBeParsedIsRefused(t *testing.T) {
	masquerade := &Masquerade{Domain: "example.com", Domains: []string{"corp.example"}}
	for _, from := range []string{"<bob@corp.example> alice@corp.example", "bob@corp..example", "=?utf-8?q?bob@corp.example?=", "(bob@corp.example", "bob@corp.example@example.com"} {
		for _, agent := range []smtpserver.Agent{(&Outbound{Map: table(t)}).Agent(), masquerade.Agent()} {
			agenttest.Refused(t, 550, "alice@corp.example", []string{"b@example.net"}, "From: "+from+"\r\n\r\nx\r\n", agent)
		}
	}
	for _, m := range []string{"Subject: no author\r\n\r\n", "From: Postmaster\r\n\r\n", "From: <>\r\n\r\n", "Reply-To: (not closed\r\n\r\n"} {
		if got := agenttest.Relay(t, "", []string{"b@example.net"}, m, (&Outbound{Map: table(t)}).Agent()); got.Data != m {
			t.Errorf("%q became %q", m, got.Data)
		}
	}
}

func TestInbound(t *testing.T) {
	want := strings.Replace(mail, "To: a.smith@example.com, Bob <bob@example.com>", "To: alice@corp.example, Bob <bob@corp.example>", 1)
	got := agenttest.Relay(t, "bob@corp.example", []string{"a.smith@example.com", "carol@example.net", "alice@corp.example"}, mail, (&Inbound{Map: table(t)}).Agent())
	if got.Data != want || got.From != "bob@corp.example" || !slices.Equal(got.To, []string{"alice@corp.example", "carol@example.net"}) {
		t.Errorf("from %s to %s\n%s\nwant\n%s", got.From, got.To, got.Data, want)
	}
	if o := got.Message.Recipients[0].Options; o.OriginalRecipient != "a.smith@example.com" || o.OriginalRecipientType != "RFC822" {
		t.Errorf("original recipient %q of type %q", o.OriginalRecipient, o.OriginalRecipientType)
	}
	if got := agenttest.Relay(t, "a@example.org", []string{"carol@example.net"}, "To: carol@example.net\r\n\r\n", (&Inbound{Map: table(t)}).Agent()); got.Data != "To: carol@example.net\r\n\r\n" {
		t.Errorf("%s", got.Data)
	}
}

func TestMasquerade(t *testing.T) {
	q := &Masquerade{Domain: "example.com", Domains: []string{"corp.example", "example.com"}, Except: []string{"root"}}
	if err := q.Validate(); err != nil {
		t.Fatal(err)
	}
	m := "From: cron@web1.corp.example\r\nSender: ROOT@web1.corp.example\r\nReply-To: x@example.com, y@notcorp.example\r\n\r\n"
	got := agenttest.Relay(t, "cron@web1.corp.example", []string{"b@example.com"}, m, q.Agent())
	if got.From != "cron@example.com" || got.Data != strings.Replace(m, "cron@web1.corp.example", "cron@example.com", 1) {
		t.Errorf("from %s\n%s", got.From, got.Data)
	}
	for _, bad := range []*Masquerade{{}, {Domain: "a b", Domains: []string{"x.example"}}, {Domain: "a@example.com", Domains: []string{"x.example"}}, {Domain: "example.com"}, {Domain: "example.com", Domains: []string{""}}} {
		if bad.Validate() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

// The time must grow linearly with the size of the header field.
func BenchmarkHostileFields(b *testing.B) {
	m, err := NewMap(Entry{Internal: "*.corp.example", External: "example.com"})
	if err != nil {
		b.Fatal(err)
	}
	for name, unit := range map[string]string{"labels": "a.", "literals": "a@[", "comments": "((", "addresses": "a@b,", "blanks": "a  "} {
		for _, kb := range []int{64, 256} {
			s := "x@" + strings.Repeat(unit, kb<<10/len(unit)) + "b"
			b.Run(fmt.Sprintf("%s of %d KiB", name, kb), func(b *testing.B) {
				b.SetBytes(int64(len(s)))
				for b.Loop() {
					rewriter(m.Out).addresses(s)
				}
			})
		}
	}
}

func FuzzAddresses(f *testing.F) {
	f.Add(" Bob <bob@corp.example> (c (d)), \"x\\\"y\"@corp.example; =?utf-8?Q?a@b?= <@a,@b:c@[1.2.3.4]>")
	f.Add("\"\\")
	f.Add("((\\")
	f.Add("a@.@..b@c.")
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		same, changed := rewriter(func(a string) (string, bool) {
			n++
			return a, true
		}).addresses(s)
		if changed || same != s {
			t.Fatalf("%q became %q", s, same)
		}
		// Each address is replaced once.
		got, _ := rewriter(func(string) (string, bool) { return "\x00", true }).addresses(s)
		if !strings.Contains(s, "\x00") && strings.Count(got, "\x00") != n {
			t.Fatalf("%q has %d addresses, %q", s, n, got)
		}
	})
}
