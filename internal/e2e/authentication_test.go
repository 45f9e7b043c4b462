package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/mailauth/arc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dkim"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/dmarc"
	"github.com/bridgehead-mail/bridgehead/policy/mailauth/spf"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// SPF, DKIM, DMARC and ARC work for names that IDNA refuses, and for U-labels.
func TestMailAuthenticationOfUnusualNames(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for name, author := range map[string]string{ // as the DNS has it, and as From has it
		"plain.example":         "Plain.Example",
		"pr--7.example":         "PR--7.example",
		"r3---sn-x.example":     "r3---sn-x.example",
		"xn--a.example":         "XN--A.example",
		"a_b.example":           "a_b.example",
		"xn--bcher-kva.example": "bücher.example",
		"xn--strae-oqa.example": "STRAßE。example",
	} {
		t.Run(name, func(t *testing.T) {
			key := dkim.Key{Domain: strings.ToUpper(name), Selector: "s", Private: private}
			record, err := key.Record()
			must(t, err)
			s := dnstest.New(t, fmt.Sprintf("s._domainkey.%[1]s. TXT %[2]q\n%[1]s. TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.%[1]s. TXT \"v=DMARC1; p=reject\"\n", name, record))
			dns := &routing.DNSResolver{Servers: []string{s.Addr}}
			ctx := context.Background()

			text := "From: alice@" + author + "\r\nSubject: x\r\n\r\nHello.\r\n"
			signed, err := (&dkim.Signer{Keys: dkim.Keys(key)}).Sign(ctx, author, strings.NewReader(text))
			must(t, err)
			if signed == "" {
				t.Fatal("not signed")
			}
			proven, err := (&dkim.Verifier{Resolver: dns}).Verify(ctx, strings.NewReader(signed+text))
			must(t, err)
			if proven.Result() != dkim.Pass || !proven.Passed(author) || !proven.Passed(name) {
				t.Errorf("DKIM: %+v", proven)
			}

			checker := &spf.Checker{Resolver: dns}
			pass := checker.Check(ctx, netip.MustParseAddr("192.0.2.1"), "client.example", "alice@"+author)
			fail := checker.Check(ctx, netip.MustParseAddr("192.0.2.2"), "client.example", "alice@"+author)
			if pass.Result != spf.Pass || fail.Result != spf.Fail {
				t.Errorf("SPF: %v %v, %v %v", pass.Result, pass.Err, fail.Result, fail.Err)
			}

			policy := &dmarc.Checker{Resolver: dns}
			unsigned := &dkim.Verdict{}
			for what, v := range map[string]dmarc.Verdict{
				"by SPF": policy.Check(ctx, author, &pass, unsigned), "by DKIM": policy.Check(ctx, author, &fail, proven),
			} {
				if v.Result != dmarc.Pass || v.Author != name {
					t.Errorf("DMARC %s: %v %v", what, v.Result, v.Err)
				}
			}
			if v := policy.Check(ctx, author, &fail, unsigned); v.Result != dmarc.Fail || v.Disposition != dmarc.Reject {
				t.Errorf("DMARC of a forged sender: %v %v %v", v.Result, v.Disposition, v.Err)
			}

			sealed, err := (&arc.Sealer{Key: key, ID: name}).Seal(ctx, strings.NewReader(text), &arc.Verdict{Result: arc.None})
			must(t, err)
			if v, err := (&arc.Verifier{Resolver: dns}).Verify(ctx, strings.NewReader(sealed+text)); err != nil || v.Result != arc.Pass {
				t.Errorf("ARC: %+v, %v", v, err)
			}
		})
	}
}
