package arc

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/authres"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

var keys = sync.OnceValue(func() []dkim.Key {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return []dkim.Key{{Domain: "list.example", Selector: "s1", Private: r}, {Domain: "forward.example", Selector: "s2", Private: e}}
})

func newVerifier(t *testing.T) (*Verifier, *dnstest.Server) {
	t.Helper()
	var zone strings.Builder
	for _, k := range keys() {
		record, err := k.Record()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&zone, "%s. TXT %q %q\n", k.Name(), record[:40], record[40:min(len(record), 240)]+"\" \""+record[min(len(record), 240):])
	}
	server, err := dnstest.InMemory(strings.ReplaceAll(zone.String(), `\"`, `"`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return &Verifier{Resolver: &resolver.Net{Resolver: &net.Resolver{PreferGo: true, Dial: server.Dial}}}, server
}

const plain = "Received: old\r\nFrom: Alice <alice@example.org>\r\nTo: list@list.example\r\nSubject: Hello\r\n" +
	"Date: Sat, 21 Nov 2026 20:41:31 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello  \r\n\r\n"

var finding = authres.Result{Method: "dmarc", Value: "pass", Properties: []authres.Property{{Type: "header", Name: "from", Value: "example.org"}}}

// pass simulates a host that verifies a message, changes it and seals it.
func pass(t *testing.T, v *Verifier, host int, message string, change func(string) string) string {
	t.Helper()
	verdict, err := v.Verify(t.Context(), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		message = change(message)
	}
	k := keys()[host%2]
	fields, err := (&Sealer{Key: k, ID: "mx." + k.Domain}).Seal(t.Context(), strings.NewReader(message), verdict, finding)
	if err != nil {
		t.Fatal(err)
	}
	return fields + message
}

func verify(t *testing.T, v *Verifier, message string) *Verdict {
	t.Helper()
	verdict, err := v.Verify(t.Context(), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// Each host may change the message if it seals the new version.
func TestChain(t *testing.T) {
	v, _ := newVerifier(t)
	if got := verify(t, v, plain); got.Result != None || got.Instances != 0 || got.Err != nil {
		t.Errorf("no chain: %+v", got)
	}
	message := plain
	for i := range 5 {
		message = pass(t, v, i, message, func(m string) string {
			return strings.Replace(m, "Subject: ", "Subject: [list] ", 1) + "footer\r\n"
		})
		got := verify(t, v, "Received: later\r\n"+message)
		if got.Result != Pass || got.Instances != i+1 || len(got.Sealers) != i+1 || got.Sealers[0] != "list.example" || got.Err != nil {
			t.Fatalf("after host %d: %+v", i+1, got)
		}
		if want := "mx.list.example;\tdmarc=pass header.from=example.org"; got.RecordedResults[0] != want {
			t.Errorf("recorded results %q, want %q", got.RecordedResults[0], want)
		}
	}
	if got := verify(t, v, strings.Replace(message, "Hello", "Bye", 1)); got.Result != Fail || got.Sealers != nil || got.Err == nil {
		t.Errorf("changed afterwards: %+v", got)
	}
}

// Seal and Verify treat a bare LF as CRLF, as it is sent.
func TestLineEnds(t *testing.T) {
	v, _ := newVerifier(t)
	lf := strings.ReplaceAll(plain, "\r\n", "\n")
	sealed := pass(t, v, 0, lf, nil)
	fields := strings.TrimSuffix(sealed, lf)
	for _, message := range []string{sealed, fields + plain, strings.ReplaceAll(sealed, "\r\n", "\n")} {
		if got := verify(t, v, message); got.Result != Pass {
			t.Errorf("%s, %v: %q", got.Result, got.Err, message)
		}
	}
}

// Any error in a chain makes it fail, and the verdict names the error.
func TestBrokenChains(t *testing.T) {
	v, _ := newVerifier(t)
	message := pass(t, v, 1, pass(t, v, 0, plain, nil), nil)
	field := func(name string) string { // the topmost one of that name
		rest := message[strings.Index(message, name+":"):]
		end := 0
		for {
			end += strings.Index(rest[end:], "\r\n") + 2
			if rest[end] != '\t' && rest[end] != ' ' {
				return rest[:end]
			}
		}
	}
	for _, c := range []struct{ name, old, new, err string }{
		{"body", "Hello  \r\n", "Hello you\r\n", "the body"},
		{"signed field", "Subject: Hello", "Subject: Bye", "message signature 2"},
		{"finding of the first host", "mx.list.example", "mx.evil.example", "seal"},
		{"finding of the last host", "mx.forward.example", "mx.evil.example", "seal 2"},
		{"a seal is lost", field("ARC-Seal"), "", "set 2 of 2 is not complete"},
		{"a message signature is lost", field("ARC-Message-Signature"), "", "not complete"},
		{"findings are lost", field("ARC-Authentication-Results"), "", "not complete"},
		{"a field twice", field("ARC-Seal"), field("ARC-Seal") + field("ARC-Seal"), "two arc-seal fields"},
		{"the first set is lost", "i=1;", "i=3;", "not complete"},
		{"no instance", "ARC-Seal: i=2;", "ARC-Seal: i=0;", "i=0 is not from 1 to 50"},
		{"too far", "ARC-Seal: i=2;", "ARC-Seal: i=51;", "i=51"},
		{"no number", "ARC-Seal: i=2;", "ARC-Seal: i=x;", "i=x"},
		{"no tags", "ARC-Seal: i=2;", "ARC-Seal: what;", "is not a tag"},
		{"cv", "cv=pass", "cv=none", "cv=none is not valid with i=2"},
		{"cv of the first", "cv=none", "cv=pass", "cv=pass is not valid with i=1"},
		{"h= in a seal", "cv=pass;", "cv=pass; h=from;", "must not have h="},
		{"sealed as broken", "cv=pass", "cv=fail", "found an invalid chain"},
		{"l=", "c=relaxed/relaxed;", "c=relaxed/relaxed; l=1;", "l="},
		{"ARC-Seal signed", "h=from", "h=arc-seal:from", "h= must not contain ARC-Seal"},
		{"From is not signed", "h=from", "h=x", "From is not signed"},
		{"sha1", "a=ed25519-sha256", "a=rsa-sha1", "too weak"},
		{"no key named", "d=forward.example", "d=", "do not form a valid DNS name"},
		{"another key", "s=s2", "s=s9", "does not exist"},
		{"no signature", "b=", "x=", "b= is empty or not base64"},
		{"no body hash", "bh=", "xh=", "bh= is empty or not base64"},
	} {
		changed := strings.Replace(message, c.old, c.new, 1)
		if changed == message {
			t.Fatalf("%s: nothing changed", c.name)
		}
		got := verify(t, v, changed)
		if got.Result != Fail || got.Err == nil || !strings.Contains(got.Err.Error(), c.err) || got.Sealers != nil {
			t.Errorf("%s: %s, %v; want an error with %q", c.name, got.Result, got.Err, c.err)
		}
	}
}

// A broken chain is sealed with cv=fail once. After that no set is added.
func TestSealingBrokenChains(t *testing.T) {
	v, _ := newVerifier(t)
	broken := strings.Replace(pass(t, v, 0, plain, nil), "Hello", "Bye", 1)
	sealed := pass(t, v, 1, broken, nil)
	if !strings.Contains(sealed, "i=2") || !strings.Contains(sealed, "cv=fail") {
		t.Errorf("sealed as\n%s", sealed)
	}
	if again := pass(t, v, 0, sealed, nil); again != sealed {
		t.Errorf("a chain with cv=fail was sealed again:\n%s", again)
	}
	long := plain
	for i := range maxInstances {
		long = pass(t, v, i, long, nil)
	}
	if got := verify(t, v, long); got.Result != Pass || got.Instances != maxInstances {
		t.Errorf("fifty sets: %s, %d, %v", got.Result, got.Instances, got.Err)
	}
	if again := pass(t, v, 0, long, nil); again != long {
		t.Error("a fifty-first set was added")
	}
}

func TestDNSErrorsAreTemporary(t *testing.T) {
	for name, fault := range map[string]dnstest.Fault{
		"SERVFAIL": {Rcode: dns.RcodeServerFailure},
		"too late": {Delay: time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			v, server := newVerifier(t)
			message := pass(t, v, 1, pass(t, v, 0, plain, nil), nil)
			for _, k := range keys() {
				server.Fault(k.Name(), "TXT", fault)
				began := time.Now()
				got := verify(t, v, message)
				if took := time.Since(began); got.Result != TempError || got.Err == nil || took > 20*time.Second {
					t.Errorf("%s of %s: %s (%v) after %v", name, k.Name(), got.Result, got.Err, took)
				}
				if sealed := pass(t, v, 0, message, nil); sealed != message {
					t.Errorf("%s: a chain of unknown state was sealed", name)
				}
				server.Fault(k.Name(), "TXT", dnstest.Fault{})
			}
			server.Close()
			synctest.Wait()
		})
	}
}

// A broken chain is a Fail even if DNS does not answer other queries.
func TestBrokenAndTemporary(t *testing.T) {
	v, server := newVerifier(t)
	message := pass(t, v, 0, pass(t, v, 1, plain, nil), nil)
	server.Fault(keys()[1].Name(), "TXT", dnstest.Fault{Rcode: dns.RcodeServerFailure})
	if got := verify(t, v, message); got.Result != TempError {
		t.Errorf("%+v", got)
	}
	if got := verify(t, v, strings.Replace(message, "mx.list.example", "mx.evil.example", 1)); got.Result != Fail || !strings.Contains(got.Err.Error(), "seal 2") {
		t.Errorf("%+v", got)
	}
}

func TestUnreadableMessage(t *testing.T) {
	v, _ := newVerifier(t)
	message := pass(t, v, 0, plain, nil)
	header, _, err := read(strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	if verdict, err := v.verify(t.Context(), header, func(dkimsig.Canon) ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("%+v, %v", verdict, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Sealer{Key: keys()[0], ID: "mx.example.com"}).Seal(ctx, strings.NewReader(plain), &Verdict{Result: None}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (&Sealer{Key: keys()[0]}).Seal(t.Context(), strings.NewReader(plain), &Verdict{Result: None}); err == nil || !strings.Contains(err.Error(), "Sealer.ID") {
		t.Errorf("sealed without an ID: %v", err)
	}
	if _, err := (&Sealer{ID: "mx.example.com"}).Seal(t.Context(), strings.NewReader(plain), &Verdict{Result: None}); err == nil {
		t.Error("sealed without a key")
	}
}

// With two servers in sequence, the second one gets the results of the first.
func TestAgents(t *testing.T) {
	v, _ := newVerifier(t)
	var found []*Verdict
	host := func(i int) *policytest.Server {
		k := keys()[i]
		stamper, sealer := &authres.Stamper{}, &Sealer{Key: k}
		return policytest.New(t, &smtpserver.Server{Hostname: "mx." + k.Domain, Agents: []smtpserver.Agent{
			v.Agent(), stamper.Agent(), sealer.Agent(),
			{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
				found = append(found, VerdictOf(s))
				return nil
			}},
		}})
	}
	message := plain
	for i := range 2 {
		srv := host(i)
		srv.Talk(t, "192.0.2.1", "S: 220\nC: EHLO x.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n"+
			fmt.Sprintf("R: %q\n", message+".\r\n")+"S: 250\nC: QUIT\nS: 221\n")
		message = srv.Inbox.Next(t).Text
	}
	got := verify(t, v, message)
	if got.Result != Pass || !slices.Equal(got.Sealers, []string{"list.example", "forward.example"}) ||
		!slices.Equal(got.RecordedResults, []string{"mx.list.example;\tarc=none", "mx.forward.example;\tarc=pass header.d=list.example"}) {
		t.Errorf("%+v\n%s", got, message)
	}
	if len(found) != 2 || found[0].Result != None || found[1].Result != Pass {
		t.Errorf("found %v", found)
	}
}

// The mail of authenticated users is not sealed, unless When selects it.
func TestAgentSealsUnauthenticatedMail(t *testing.T) {
	v, _ := newVerifier(t)
	for _, c := range []struct {
		identity string
		when     func(*smtpserver.Session, *smtpserver.Message) bool
		seals    int
	}{
		{"", nil, 1},
		{"alice", nil, 0},
		{"alice", func(*smtpserver.Session, *smtpserver.Message) bool { return true }, 1},
		{"", func(*smtpserver.Session, *smtpserver.Message) bool { return false }, 0},
	} {
		sealer := &Sealer{Key: keys()[1], When: c.when}
		srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
			{Name: "login", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
				s.SetIdentity(c.identity)
				return nil
			}},
			v.Agent(), sealer.Agent(),
		}})
		srv.Talk(t, "192.0.2.1", "S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n"+
			"C: From: a@example.org\nC: .\nS: 250\nC: QUIT\nS: 221\n")
		if n := srv.Inbox.Next(t).Header.Count("ARC-Seal"); n != c.seals {
			t.Errorf("%q: %d seals", c.identity, n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("ARC-Seal: i=1; cv=none; a=rsa-sha256; d=a.b; s=c; b=AA==\r\nARC-Message-Signature: i=1; a=rsa-sha256; d=a.b; s=c; h=from; bh=AA==; b=AA==\r\nARC-Authentication-Results: i=1; x; none\r\nFrom: a\r\n\r\nx")
	v := &Verifier{Resolver: oneKey{}}
	f.Fuzz(func(t *testing.T, message string) {
		verdict, err := v.Verify(t.Context(), strings.NewReader(message))
		if err != nil {
			return
		}
		if (verdict.Err != nil) != (verdict.Result == Fail) || verdict.Instances > maxInstances {
			t.Errorf("%+v", verdict)
		}
	})
}

type oneKey struct{}

func (oneKey) Lookup(context.Context, string, resolver.Type) (*resolver.Answer, error) {
	return &resolver.Answer{TXT: []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}}, nil
}
