package dkim

import (
	"strings"
	"testing"
)

// The messages and keys of RFC 6376, appendix A, and RFC 8463, appendix A.

const rfc6376Message = `DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
      4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
`

const rfc8463Message = `DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`

const rfcZone = `
	brisbane._domainkey.example.com. TXT "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt" "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
	brisbane._domainkey.football.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	test._domainkey.football.example.com. TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"`

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestRFCVectors(t *testing.T) {
	v, _ := newVerifier(t, rfcZone)
	for name, c := range map[string]struct {
		message string
		want    []Signature
	}{
		"RFC 6376, A": {rfc6376Message, []Signature{{Domain: "example.com", Selector: "brisbane", Identity: "joe@football.example.com", Algorithm: "rsa-sha256"}}},
		"RFC 8463, A": {rfc8463Message, []Signature{
			{Domain: "football.example.com", Selector: "brisbane", Identity: "@football.example.com", Algorithm: "ed25519-sha256"},
			{Domain: "football.example.com", Selector: "test", Identity: "@football.example.com", Algorithm: "rsa-sha256"},
		}},
	} {
		verdict, err := v.Verify(t.Context(), strings.NewReader(crlf(c.message)))
		if err != nil || len(verdict.Signatures) != len(c.want) {
			t.Fatalf("%s: %+v, %v", name, verdict, err)
		}
		for i, want := range c.want {
			got := verdict.Signatures[i]
			if got.Result != Pass || got.Err != nil || got.Domain != want.Domain || got.Selector != want.Selector ||
				got.Identity != want.Identity || got.Algorithm != want.Algorithm {
				t.Errorf("%s: %+v, want %+v to pass", name, got, want)
			}
		}
		if verdict.Result() != Pass || !verdict.Passed(strings.ToUpper(c.want[0].Domain)) || verdict.Passed("other.example") {
			t.Errorf("%s: %s", name, verdict.Result())
		}
	}
}

// A change of any signed octet breaks the signature.
func TestChangedVectors(t *testing.T) {
	v, _ := newVerifier(t, rfcZone)
	for _, c := range []struct {
		name, old, new string
		want           Result
	}{
		{"subject", "dinner", "supper", Fail},
		{"body", "hungry", "angry!", Fail},
		{"body grows", "Joe.\n", "Joe.\nPS: buy\n", Fail},
		{"white space, simple form", "Hi.\n", "Hi. \n", Fail},
		{"folding, simple form", "To: Suzie", "To:  Suzie", Fail},
		{"empty lines at the end", "Joe.\n", "Joe.\n\n\n", Pass},
		{"second From below", "To: Suzie", "From: m@evil.example\nTo: Suzie", Fail},
		{"second From above", "Received: from", "From: m@evil.example\nReceived: from", Pass}, // not oversigned: DMARC refuses such messages
		{"other field", "From: Joe", "X-New: 1\nFrom: Joe", Pass},
		{"domain", "d=example.com", "d=example.org", Neutral},        // i= is not a subdomain of it
		{"algorithm", "a=rsa-sha256", "a=ed25519-sha256", PermError}, // RFC 6376, 6.1.2: the key has another type
		{"sha1", "a=rsa-sha256", "a=rsa-sha1", PermError},
		{"selector", "s=brisbane", "s=sydney", PermError},
		{"case of d=", "d=example.com", "d=EXAMPLE.com", Fail}, // the same domain, but other octets than signed
		{"b= refolded", "4bmp/", "4\n bmp/", Pass},
		{"b= damaged", "4bmp/", "5bmp/", Fail},
		{"b= no base64", "4bmp/", "4bm*/", Neutral},
		{"bh= no base64", "bh=2jUS", "bh=2*US", Neutral},
		{"From is not signed", " From :", "", PermError},
		{"version", "v=1", "v=2", Neutral},
		{"tag twice", "v=1;", "v=1; v=1;", Neutral},
		{"unknown form", "c=simple/simple", "c=simple/loose", Neutral},
		{"unknown query", "q=dns/txt", "q=http", Neutral},
		{"no tag", "v=1;", "v=1; hello;", Neutral},
		{"expired", "v=1;", "v=1; t=100; x=1000;", Policy},
		{"x before t", "v=1;", "v=1; t=1000; x=100;", Neutral},
		{"bad time", "v=1;", "v=1; t=-1;", Neutral},
		{"identity elsewhere", "i=joe@football.example.com", "i=joe@notexample.com", Neutral},
		{"length of the body", "v=1;", "v=1; l=10;", Policy},
		{"length beyond the body", "v=1;", "v=1; l=5000;", Policy},
		{"bad length", "v=1;", "v=1; l=x;", Policy},
		{"form of the body is missing", "c=simple/simple", "c=simple/", Neutral},
		{"no field name", "From : To", "From : T o", Neutral},
		{"b= in another tag", "i=joe@", "i=bob=joe@", Neutral}, // not valid quoted-printable
		{"another tag that ends in b", "v=1;", "v=1; xb=1;", Fail},
		{"empty tag", "v=1;", "v=1;;", Neutral},
		{"empty tag, white space", "v=1;", "v=1;\n ;", Neutral},
		{"empty first tag", "DKIM-Signature: v=1;", "DKIM-Signature: ; v=1;", Neutral},
		{"two semicolons at the end", "b=AuUo", "b=;; b=AuUo", Neutral},
		{"selector no name", "s=brisbane", "s=bris..bane", Neutral},
	} {
		message := strings.Replace(rfc6376Message, c.old, c.new, 1)
		if message == rfc6376Message {
			t.Fatalf("%s: nothing changed", c.name)
		}
		verdict, err := v.Verify(t.Context(), strings.NewReader(crlf(message)))
		if err != nil || len(verdict.Signatures) != 1 {
			t.Fatalf("%s: %+v, %v", c.name, verdict, err)
		}
		s := verdict.Signatures[0]
		if s.Result != c.want || (s.Err == nil) != (s.Result == Pass) {
			t.Errorf("%s: %s (%v), want %s", c.name, s.Result, s.Err, c.want)
		}
	}
}
