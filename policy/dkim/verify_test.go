package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// newVerifier asks a DNS server in memory through Go's own resolver.
func newVerifier(t testing.TB, zones ...string) (*Verifier, *dnstest.Server) {
	t.Helper()
	dns, err := dnstest.InMemory(zones...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dns.Close() })
	return &Verifier{Resolver: &net.Resolver{PreferGo: true, Dial: dns.Dial}}, dns
}

var rsaKey = sync.OnceValue(func() crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var edKey = sync.OnceValue(func() crypto.Signer {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// zoneOf publishes keys; record may change what is published.
func zoneOf(t testing.TB, record func(string) string, keys ...Key) string {
	t.Helper()
	var zone strings.Builder
	for _, k := range keys {
		text, err := k.Record()
		if err != nil {
			t.Fatal(err)
		}
		if record != nil {
			text = record(text)
		}
		fmt.Fprintf(&zone, "%s. TXT", k.Name())
		for len(text) > 0 {
			n := min(len(text), 200)
			fmt.Fprintf(&zone, " %q", text[:n])
			text = text[n:]
		}
		zone.WriteString("\n")
	}
	return zone.String()
}

const plainMessage = "From: Alice <alice@example.org>\r\nTo: bob@example.com\r\nSubject: Hello\r\n" +
	"Date: Sat, 21 Nov 2026 20:41:31 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello Bob,\r\n\r\nhow are you?\r\n"

func sign(t testing.TB, s *Signer, message string) string {
	t.Helper()
	fields, err := s.Sign(t.Context(), "example.org", strings.NewReader(message))
	if err != nil || fields == "" {
		t.Fatalf("Sign: %q, %v", fields, err)
	}
	return fields + message
}

// What key records may say.
func TestKeyRecords(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: rsaKey()}
	signed := sign(t, &Signer{Keys: Keys(key)}, plainMessage)
	for _, c := range []struct {
		name   string
		record func(string) string
		want   Result
		err    string
	}{
		{"as published", nil, Pass, ""},
		{"without version and kind", func(s string) string { return strings.TrimPrefix(s, "v=DKIM1; k=rsa; ") }, Pass, ""},
		{"spaces in the key", func(s string) string { return strings.Replace(s, "p=MII", "p = M I I ", 1) }, Pass, ""},
		{"unknown tags, notes", func(s string) string { return s + "; n=hello world; zz=1" }, Pass, ""},
		{"for email", func(s string) string { return s + "; s=other:email; h=sha1:sha256" }, Pass, ""},
		{"strict, same domain", func(s string) string { return s + "; t=s" }, Pass, ""},
		{"testing", func(s string) string { return s + "; t=y" }, Pass, ""},
		{"not for email", func(s string) string { return s + "; s=other" }, PermError, "not for email"},
		{"not for sha256", func(s string) string { return s + "; h=sha1" }, PermError, "not for sha256"},
		{"other version", func(s string) string { return strings.Replace(s, "DKIM1", "DKIM2", 1) }, PermError, "version"},
		{"version not first", func(s string) string { return "k=rsa; v=DKIM1" + strings.TrimPrefix(s, "v=DKIM1; k=rsa") }, PermError, "version"},
		{"revoked", func(string) string { return "v=DKIM1; p=" }, PermError, "revoked"},
		{"no key", func(string) string { return "v=DKIM1; k=rsa" }, PermError, "no p="},
		{"no base64", func(string) string { return "v=DKIM1; p=***" }, PermError, "not base64"},
		{"no RSA", func(string) string { return "v=DKIM1; p=aGVsbG8=" }, PermError, "no RSA key"},
		{"other kind", func(s string) string { return strings.Replace(s, "k=rsa", "k=dsa", 1) }, PermError, "unknown kind"},
		{"Ed25519", func(string) string { return "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" }, Fail, "with a key for ed25519-sha256"},
		{"short Ed25519", func(string) string { return "v=DKIM1; k=ed25519; p=11qY" }, PermError, "3 octets"},
		{"tag twice", func(s string) string { return s + "; k=rsa" }, PermError, "twice"},
		{"another key", func(string) string {
			k, _ := rsa.GenerateKey(rand.Reader, 2048)
			s, _ := (&Key{Domain: "x.y", Selector: "z", Private: k}).Record()
			return s
		}, Fail, "does not fit"},
		{"huge", func(s string) string { return s + "; n=" + strings.Repeat("x", 9000) }, PermError, "longer than 8 KiB"},
		// 512 bits (made for this test): too short by RFC 8301.
		{"weak", func(string) string {
			return "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOhaAZwPhAlLcy1zhaZUz9C+gG3Z7dwWTCzhinPkAMDLCrLeCMN8/u/+4sCtTgQk8HwxMsX3bqWlE2vigvdSpHUCAwEAAQ=="
		}, PermError, "RSA key of 512 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := newVerifier(t, zoneOf(t, c.record, key))
			verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
			if err != nil {
				t.Fatal(err)
			}
			s := verdict.Signatures[0]
			if s.Result != c.want || c.err != "" && (s.Err == nil || !strings.Contains(s.Err.Error(), c.err)) {
				t.Errorf("%s (%v), want %s with %q", s.Result, s.Err, c.want, c.err)
			}
			if s.Testing != (c.name == "testing") {
				t.Errorf("testing is %v", s.Testing)
			}
		})
	}
}

// handmade signs with tags of the test's choice, as other signers may.
func handmade(t *testing.T, key Key, tags, message string) string {
	t.Helper()
	s := &Signer{Keys: Keys(key)}
	signed := sign(t, s, message)
	field, _, _ := strings.Cut(signed, "From: Alice")
	bh := field[strings.Index(field, "bh="):]
	bh = bh[:strings.IndexByte(bh, ';')]
	text := "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1; " + tags + "; " + bh + "; b="
	c := parse([]byte(text+"AA==\r\n"), time.Now())
	return text + c.resign(t, key, message) + "\r\n" + message
}

// The key's t=s forbids an i= below the domain; d= and i= have no case.
func TestIdentity(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: rsaKey()}
	for _, c := range []struct {
		tags, flags string
		want        Result
	}{
		{"c=relaxed/relaxed; h=from; i=alice@example.org", "; t=s", Pass},
		{"c=relaxed/relaxed; h=from; i=alice@EXAMPLE.ORG", "; t=s", Pass},
		{"c=relaxed/relaxed; h=from; i=@sub.Example.org", "", Pass},
		{"c=relaxed/relaxed; h=from; i=@sub.example.org", "; t=y:s", PermError},
		{"c=relaxed/relaxed; h=from; i=@xexample.org", "", Neutral},
		{"c=relaxed/relaxed; h=from; i=nobody", "", Neutral},
		{"c=relaxed/relaxed; h=from::; i=\"a@b\"@example.org", "", Pass},
	} {
		v, _ := newVerifier(t, zoneOf(t, func(s string) string { return s + c.flags }, key))
		verdict, err := v.Verify(t.Context(), strings.NewReader(handmade(t, key, c.tags, plainMessage)))
		if err != nil {
			t.Fatal(err)
		}
		if s := verdict.Signatures[0]; s.Result != c.want {
			t.Errorf("%s%s: %s (%v), want %s", c.tags, c.flags, s.Result, s.Err, c.want)
		}
	}
}

// l= that covers the whole body is as good as none; where more follows, what
// follows could be anybody's.
func TestBodyLength(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: rsaKey()}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	_, body, _ := strings.Cut(plainMessage, "\r\n\r\n")
	signed := handmade(t, key, fmt.Sprintf("c=relaxed/simple; h=from; l=%d", len(body)), plainMessage)
	for added, want := range map[string]Result{"": Pass, "\r\n\r\n": Pass, "Buy this!\r\n": Policy, " ": Policy} {
		verdict, err := v.Verify(t.Context(), strings.NewReader(signed+added))
		if err != nil {
			t.Fatal(err)
		}
		if s := verdict.Signatures[0]; s.Result != want {
			t.Errorf("with %q: %s (%v), want %s", added, s.Result, s.Err, want)
		}
	}
}

// Many signatures cost no more than ten.
func TestManySignatures(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	v, dns := newVerifier(t, zoneOf(t, nil, key))
	field, err := (&Signer{Keys: Keys(key)}).Sign(t.Context(), "example.org", strings.NewReader(plainMessage))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := v.Verify(t.Context(), strings.NewReader(strings.Repeat(field, 50)+plainMessage))
	if err != nil || len(verdict.Signatures) != 10 || verdict.Ignored != 40 || verdict.Result() != Pass {
		t.Errorf("%d verified, %d ignored, %s, %v", len(verdict.Signatures), verdict.Ignored, verdict.Result(), err)
	}
	if n := dns.Count(key.Name(), "TXT"); n > 10 {
		t.Errorf("%d DNS queries", n)
	}
}

// Messages made to cost time: they cost no more than their size.
func TestCostlyMessages(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	sig := "DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=s1; b=AA==; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; c=relaxed/relaxed; h=from"
	for name, message := range map[string]string{
		"many h= names and many fields": sig + strings.Repeat(":a", 100_000) + "\r\nFrom: a@example.org\r\n" + strings.Repeat("A: b\r\n", 100_000) + "\r\n",
		"a body of empty lines":         sig + "\r\nFrom: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 4<<20),
		"empty lines and a letter":      sig + "\r\nFrom: a@example.org\r\n\r\n" + strings.Repeat("\r\n", 4<<20) + "x",
		"many tags":                     sig + strings.Repeat(";a=b", 50_000) + "\r\nFrom: a@example.org\r\n\r\n",
	} {
		began := time.Now()
		verdict, err := v.Verify(t.Context(), strings.NewReader(message))
		if err != nil || len(verdict.Signatures) != 1 || verdict.Result() == Pass {
			t.Errorf("%s: %+v, %v", name, verdict, err)
		}
		t.Logf("%s: %v", name, time.Since(began))
	}
	_, err := v.Verify(t.Context(), strings.NewReader(strings.Repeat("A: b\r\n", 200_000)))
	if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("an endless header: %v", err)
	}
	_, err = v.Verify(t.Context(), strings.NewReader("A: "+strings.Repeat("b", 2<<20)))
	if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
		t.Errorf("an endless line: %v", err)
	}
}

// Where DNS gives no answer the result is a TempError.
func TestDNSErrorsAreTemporary(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	signed := sign(t, &Signer{Keys: Keys(key)}, plainMessage)
	zone := zoneOf(t, nil, key)
	for name, fault := range map[string]dnstest.Fault{
		"SERVFAIL":  {Rcode: dns.RcodeServerFailure},
		"refused":   {Rcode: dns.RcodeRefused},
		"truncated": {Truncate: true, NoTCP: true},
		"too late":  {Delay: time.Hour},
		"garbage":   {Mangle: func(m *dns.Msg) { m.Id++ }},
	} {
		synctest.Test(t, func(t *testing.T) {
			v, server := newVerifier(t, zone)
			server.Fault(key.Name(), "TXT", fault)
			began := time.Now()
			verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
			if err != nil || verdict.Result() != TempError {
				t.Errorf("%s: %+v, %v", name, verdict, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: after %v", name, took)
			}
			server.Close()
			synctest.Wait()
		})
	}
	v, _ := newVerifier(t, "")
	if verdict, err := v.Verify(t.Context(), strings.NewReader(signed)); err != nil || verdict.Result() != PermError {
		t.Errorf("no key: %+v, %v", verdict, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, _ = newVerifier(t, zone)
	if verdict, err := v.Verify(ctx, strings.NewReader(signed)); err != nil || verdict.Result() != TempError {
		t.Errorf("cancelled: %+v, %v", verdict, err)
	}
}

// A body that cannot be read is an error, not a verdict, and leaves no
// goroutine behind (TestMain looks).
func TestUnreadableBody(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	signed := sign(t, &Signer{Keys: Keys(key, key)}, plainMessage)
	v, _ := newVerifier(t)
	if verdict, err := v.Verify(t.Context(), &brokenReader{bytes.NewReader([]byte(signed[:len(signed)-5]))}); err == nil {
		t.Errorf("verdict %+v", verdict)
	}
}

type brokenReader struct{ r *bytes.Reader }

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.r.Len() == 0 {
		return 0, net.ErrClosed
	}
	return b.r.Read(p)
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(crlf(rfc6376Message)))
	f.Add([]byte(crlf(rfc8463Message)))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=a.b; s=c; h=from; bh=; b=\r\n\r\n"))
	v := &Verifier{Resolver: oneKey{}}
	f.Fuzz(func(t *testing.T, message []byte) {
		verdict, err := v.Verify(t.Context(), bytes.NewReader(message))
		if err != nil {
			return
		}
		for _, s := range verdict.Signatures {
			if (s.Err == nil) != (s.Result == Pass) || s.Result == "" {
				t.Errorf("%s, %v", s.Result, s.Err)
			}
		}
	})
}

// oneKey is a resolver that knows one key under all names.
type oneKey struct{}

func (oneKey) LookupTXT(context.Context, string) ([]string, error) {
	return []string{"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}, nil
}

// fixedKey is a resolver with one answer.
type fixedKey string

func (k fixedKey) LookupTXT(context.Context, string) ([]string, error) {
	return []string{string(k)}, nil
}
