package dkim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignedFields(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	message := "Received: old\r\n" + headerOf("Received: x", "Subject: hi", "X-Other: 1", "Received: y") + "\r\nbody\r\n"
	names := func(s *Signer) string {
		field := strings.TrimSuffix(sign(t, s, message), message)
		c := parse([]byte(field), time.Now())
		return strings.Join(c.Fields, " ")
	}
	for want, s := range map[string]*Signer{
		"from from reply-to subject subject date date to to cc message-id": {},
		"from from received received received":                             {Fields: []string{"Received", "From", "From"}, Oversign: []string{}},
		"from from subject subject":                                        {Fields: []string{"SUBJECT"}, Oversign: []string{"Subject"}},
	} {
		s.Keys = Keys(key)
		if got := names(s); got != want {
			t.Errorf("signed %q, want %q", got, want)
		}
	}
}

// A field that is added later breaks the signature only if its name is oversigned.
func TestOversigning(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: edKey()}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	for field, want := range map[string]Result{
		"From: mallory@evil.example": Fail, "Subject: You won": Fail, "Reply-To: m@evil.example": Fail, "Cc: x@y": Fail,
		"Received: from somewhere": Pass, "X-Spam: no": Pass, "List-Id: <l.example>": Pass,
	} {
		signed := sign(t, &Signer{Keys: Keys(key)}, plainMessage)
		verdict, err := v.Verify(t.Context(), strings.NewReader(field+"\r\n"+signed))
		if err != nil || verdict.Result() != want {
			t.Errorf("with %q: %s, %v, want %s", field, verdict.Result(), err, want)
		}
	}
}

// No line is longer than 78 columns (RFC 5322, 2.1.1), for any number of fields.
func TestSignatureIsFolded(t *testing.T) {
	key := Key{Domain: "example.org", Selector: "s1", Private: rsaKey()}
	message := headerOf(slices.Repeat([]string{"Received: x"}, 500)...) + "\r\nbody\r\n"
	s := &Signer{Keys: Keys(key), Fields: []string{"Received", "To"}, Lifetime: time.Hour}
	signed := sign(t, s, message)
	field := strings.TrimSuffix(signed, message)
	for _, line := range strings.Split(field, "\r\n") {
		if len(line) > 78 {
			t.Errorf("line of %d octets: %q", len(line), line)
		}
	}
	v, _ := newVerifier(t, zoneOf(t, nil, key))
	verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
	if err != nil || verdict.Result() != Pass || len(verdict.Signatures[0].Fields) != 504 {
		t.Errorf("%+v, %v", verdict, err)
	}
}

func TestKeysByDomain(t *testing.T) {
	keys := Keys(
		Key{Domain: "example.org", Selector: "rsa"}, Key{Domain: "Example.org", Selector: "ed"},
		Key{Domain: "sub.example.org", Selector: "sub"})
	for domain, want := range map[string]string{
		"example.org": "rsa ed", "EXAMPLE.org": "rsa ed", "deep.a.example.org": "rsa ed",
		"sub.example.org": "sub", "x.sub.example.org": "sub", "xexample.org": "", "org": "", "": "",
	} {
		var got []string
		for _, k := range keys(domain) {
			got = append(got, k.Selector)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", domain, got, want)
		}
	}
}

// During a key rotation every message is signed. Signatures expire.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		change := time.Now().Add(time.Hour)
		old := Key{Domain: "example.org", Selector: "old", Private: edKey(), NotAfter: change}
		next := Key{Domain: "example.org", Selector: "new", Private: rsaKey(), NotBefore: change}
		s := &Signer{Keys: Keys(old, next), Lifetime: 30 * time.Minute}
		v, server := newVerifier(t, zoneOf(t, nil, old, next))
		check := func(signed, selector string, want Result) {
			t.Helper()
			verdict, err := v.Verify(t.Context(), strings.NewReader(signed))
			if err != nil || len(verdict.Signatures) != 1 || verdict.Signatures[0].Selector != selector || verdict.Result() != want {
				t.Errorf("%+v, %v; want %s by %s", verdict, err, want, selector)
			}
		}
		first := sign(t, s, plainMessage)
		check(first, "old", Pass)
		time.Sleep(time.Hour) // synctest time
		check(sign(t, s, plainMessage), "new", Pass)
		check(first, "old", Policy) // expired
		server.Close()
		synctest.Wait()
	})
}

func TestSigningErrors(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]Key{
		"no private key":             {Domain: "example.org", Selector: "s"},
		"only RSA and Ed25519 keys":  {Domain: "example.org", Selector: "s", Private: ec},
		`selector ""`:                {Domain: "example.org", Private: small},
		`domain "bad..domain"`:       {Domain: "bad..domain", Selector: "s", Private: small},
		`domain "x; d=evil.example"`: {Domain: "x; d=evil.example", Selector: "s", Private: small},
		`domain "bücher.example"`:    {Domain: "bücher.example", Selector: "s", Private: small},
		`selector "s\r\nEvil: 1"`:    {Domain: "example.org", Selector: "s\r\nEvil: 1", Private: small},
	} {
		keys := func(string) []Key { return []Key{key} }
		fields, err := (&Signer{Keys: keys}).Sign(t.Context(), "x", strings.NewReader(plainMessage))
		if err == nil || !strings.Contains(err.Error(), want) || fields != "" {
			t.Errorf("%q, %v; want an error with %q", fields, err, want)
		}
		if _, err := key.Record(); err == nil {
			t.Errorf("%q has a record", want)
		}
	}
	ok := Keys(Key{Domain: "example.org", Selector: "s", Private: small})
	if _, err := (&Signer{Keys: ok}).Sign(t.Context(), "example.org", strings.NewReader("Subject: x\r\n\r\n")); err == nil {
		t.Error("a message without From was signed")
	}
	if _, err := (&Signer{Keys: ok, Fields: []string{"To:Cc"}}).Sign(t.Context(), "example.org", strings.NewReader(plainMessage)); err == nil || !strings.Contains(err.Error(), `"To:Cc" is not a header field name`) {
		t.Errorf("invalid field name: %v", err)
	}
	for _, s := range []*Signer{{}, {Keys: ok}} {
		if fields, err := s.Sign(t.Context(), "other.example", strings.NewReader(plainMessage)); fields != "" || err != nil {
			t.Errorf("no key: %q, %v", fields, err)
		}
	}
}

func TestParsePrivateKey(t *testing.T) {
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(edKey())
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := x509.MarshalPKCS8PrivateKey(ec)
	for name, c := range map[string]struct {
		file []byte
		err  string
	}{
		"PKCS #1":   {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey))}), ""},
		"PKCS #8":   {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), ""},
		"P-256":     {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: other}), "only RSA and Ed25519 keys"},
		"no PEM":    {[]byte("hello"), "not a PEM file"},
		"truncated": {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8[:20]}), "not an unencrypted private key"},
	} {
		key, err := ParsePrivateKey(c.file)
		if c.err == "" && (err != nil || key == nil) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

// sizes are bodies for the benchmarks.
var sizes = map[string]string{
	"4K": strings.Repeat("A line of text, forty octets or so.  \r\n", 100),
	"1M": strings.Repeat("A line of text, forty octets or so.  \r\n", 26_000),
}

func BenchmarkVerify(b *testing.B) {
	bench(b, func(b *testing.B, key Key, message string) {
		record, err := key.Record()
		if err != nil {
			b.Fatal(err)
		}
		v := &Verifier{Resolver: fixedKey(record)}
		signed := sign(b, &Signer{Keys: Keys(key)}, message)
		for b.Loop() {
			if verdict, err := v.Verify(b.Context(), strings.NewReader(signed)); err != nil || verdict.Result() != Pass {
				b.Fatal(verdict, err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	bench(b, func(b *testing.B, key Key, message string) {
		s := &Signer{Keys: Keys(key)}
		for b.Loop() {
			if _, err := s.Sign(b.Context(), "example.org", strings.NewReader(message)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bench(b *testing.B, run func(*testing.B, Key, string)) {
	for algorithm, private := range algorithms {
		for size, body := range sizes {
			b.Run(algorithm+"/"+size, func(b *testing.B) {
				message := headerOf("Subject: x") + "\r\n" + body
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				run(b, Key{Domain: "example.org", Selector: "s1", Private: private()}, message)
			})
		}
	}
}
