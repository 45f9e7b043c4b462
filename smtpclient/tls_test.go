package smtpclient

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
)

const (
	// offer is the script of a host that offers STARTTLS, and upgraded what follows.
	offer = `
		S: 220 mx
		C: EHLO relay.example
		S: 250-mx
		S: 250 STARTTLS
		C: STARTTLS
		S: 220 go ahead
		S: <tls>
		`
	upgraded = `
		C: EHLO relay.example
		S: 250-mx
		S: 250 PIPELINING
		` + one + quit
	// noOffer is the script of a host that does not.
	noOffer = "S: 220 mx\nC: EHLO relay.example\nS: 250 mx"
)

func TestTLSLevelAsText(t *testing.T) {
	for l := TLSDefault; l <= TLSDANE; l++ {
		var again TLSLevel
		text, err := l.MarshalText()
		if err != nil || again.UnmarshalText(text) != nil || again != l {
			t.Errorf("%v is parsed as %v, %v", l, again, err)
		}
	}
	l := TLSDANE
	if err := l.UnmarshalText(nil); err != nil || l != TLSDefault {
		t.Errorf("the empty text is %v, %v", l, err)
	}
	if err := l.UnmarshalText([]byte("perhaps")); err == nil || !strings.Contains(err.Error(), `unknown TLS level "perhaps": must be one of default, none,`) {
		t.Error(err)
	}
}

func TestTLSLevels(t *testing.T) {
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "stranger")
	good := ca.issue(nil, "mx1.example.net")
	sum := sha256.Sum256(good.Leaf.RawSubjectPublicKeyInfo)
	ee := &dane.Answer{Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: sum[:]}}, Names: []string{"mx1.example.net"}}
	wrong := &dane.Answer{Records: []dane.Record{{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}, Names: []string{"mx1.example.net"}}
	unusable := &dane.Answer{Records: []dane.Record{{Usage: 0, Selector: 1, Matching: 1, Data: sum[:]}}, Names: []string{"mx1.example.net"}}
	bogus := &dane.Answer{Err: errors.New("SERVFAIL")}

	const plain = "plain"
	for _, tt := range []struct {
		name    string
		policy  TLSPolicy
		dane    *dane.Answer
		cert    tls.Certificate
		scripts []string
		want    string // "tls", "plain", or the result's reply
	}{
		{name: "opportunistic, offered", cert: stranger.issue(expired, "wrong.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "opportunistic, not offered", scripts: []string{noOffer + stepwise + quit}, want: plain},
		{name: "opportunistic, refused", scripts: []string{strings.Replace(offer, "S: 220 go ahead\n\t\tS: <tls>", "S: 454 4.7.0 not now", 1) + stepwise + quit}, want: plain},
		{name: "opportunistic, handshake fails", scripts: []string{strings.Replace(offer, "S: <tls>", "C: <garble>", 1), noOffer + stepwise + quit}, want: plain},
		{name: "none", policy: TLSPolicy{Level: TLSNone}, scripts: []string{"S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS" + stepwise + quit}, want: plain},
		{name: "encrypt", policy: TLSPolicy{Level: TLSEncrypt}, cert: stranger.issue(expired, "wrong.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "encrypt, not offered", policy: TLSPolicy{Level: TLSEncrypt}, scripts: []string{noOffer + quit},
			want: "unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): TLS policy encrypt for mx1.example.net: the host does not offer STARTTLS"},
		{name: "encrypt, refused", policy: TLSPolicy{Level: TLSEncrypt}, scripts: []string{strings.Replace(offer, "S: 220 go ahead\n\t\tS: <tls>", "S: 454 4.7.0 not now", 1) + quit},
			want: "unreachable 454 4.7.0 not now [mx1.example.net]"},
		{name: "encrypt, handshake fails", policy: TLSPolicy{Level: TLSEncrypt}, scripts: []string{strings.Replace(offer, "S: <tls>", "C: <garble>", 1)},
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: ..."},
		{name: "certificate, any name", policy: TLSPolicy{Level: TLSCertificate}, cert: ca.issue(nil, "wrong.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "certificate, stranger", policy: TLSPolicy{Level: TLSCertificate}, cert: stranger.issue(nil, "mx1.example.net"), scripts: []string{offer},
			want: `unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy certificate for mx1.example.net: x509: certificate signed by unknown authority...`},
		{name: "certificate, expired", policy: TLSPolicy{Level: TLSCertificate}, cert: ca.issue(expired, "mx1.example.net"), scripts: []string{offer},
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy certificate for mx1.example.net: x509: certificate has expired or is not yet valid..."},
		{name: "domain", policy: TLSPolicy{Level: TLSDomain}, cert: good, scripts: []string{offer + upgraded}, want: "tls"},
		{name: "domain, wrong name", policy: TLSPolicy{Level: TLSDomain}, cert: ca.issue(nil, "wrong.example"), scripts: []string{offer},
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy domain for mx1.example.net: x509: certificate is valid for wrong.example, not mx1.example.net (certificate subject \"CN=wrong.example\", issuer \"CN=CA\", ..."},
		{name: "domain, of the operator", policy: TLSPolicy{Level: TLSDomain, Domain: "mail.example"}, cert: ca.issue(nil, "mail.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "domain, below", policy: TLSPolicy{Level: TLSDomain, Domain: ".mail.example"}, cert: ca.issue(nil, "a.mail.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "domain, wildcard below", policy: TLSPolicy{Level: TLSDomain, Domain: ".mail.example"}, cert: ca.issue(nil, "*.mail.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "domain, not below", policy: TLSPolicy{Level: TLSDomain, Domain: ".mail.example"}, cert: ca.issue(nil, "evilmail.example"), scripts: []string{offer},
			want: `unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy domain for mx1.example.net: the certificate is for ["evilmail.example"], and none of these names is below mail.example...`},
		{name: "dane only, no records", policy: TLSPolicy{Level: TLSDANE},
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS policy dane for mx1.example.net: no usable TLSA record"},
		{name: "dane only, unusable", policy: TLSPolicy{Level: TLSDANE}, dane: unusable,
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS policy dane for mx1.example.net: no usable TLSA record"},
		{name: "dane only, match", policy: TLSPolicy{Level: TLSDANE}, dane: ee, cert: good, scripts: []string{offer + upgraded}, want: "tls"},
		{name: "dane raises opportunistic, match", dane: ee, cert: good, scripts: []string{offer + upgraded}, want: "tls"},
		{name: "dane raises opportunistic, no match", dane: wrong, cert: good, scripts: []string{offer},
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS handshake failed: TLS policy dane for mx1.example.net: no TLSA record matches the certificate..."},
		{name: "dane raises opportunistic, not offered", dane: ee, scripts: []string{noOffer + quit},
			want: "unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): TLS policy dane for mx1.example.net: the host does not offer STARTTLS"},
		{name: "dane unusable: any certificate", dane: unusable, cert: stranger.issue(expired, "wrong.example"), scripts: []string{offer + upgraded}, want: "tls"},
		{name: "dane unusable: but TLS", dane: unusable, scripts: []string{noOffer + quit},
			want: "unreachable 451 4.7.4 mx1.example.net (192.0.2.1:25): TLS policy dane for mx1.example.net: the host does not offer STARTTLS"},
		{name: "dane lookup failed", dane: bogus,
			want: "unreachable 451 4.7.5 mx1.example.net (192.0.2.1:25): TLS policy dane for mx1.example.net: TLSA lookup failed: SERVFAIL"},
		{name: "dane does not lower domain", policy: TLSPolicy{Level: TLSDomain}, dane: ee, cert: ca.issue(nil, "wrong.example"), scripts: []string{offer},
			want: "unreachable 451 4.7.5 ..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(tt.cert)
			n.host("192.0.2.1:25", tt.scripts...)
			tr := n.transport()
			tr.TLS, tr.TLSConfig = tt.policy, ca.roots()
			dst := to("192.0.2.1:25")
			hosts, _ := dst.Hosts(t.Context())
			hosts[0].DANE = tt.dane
			rs := tr.Send(t.Context(), dst, mail("x\r\n", "b@example.net"))
			switch tt.want {
			case "tls", plain:
				expect(t, rs, queued)
				if got := rs[0].TLS != ""; got != (tt.want == "tls") {
					t.Errorf("TLS %q, want %s", rs[0].TLS, tt.want)
				}
			default:
				expect(t, rs, tt.want)
				var e *TLSError
				if !errors.As(rs[0].Err, &e) && !errors.Is(rs[0].Err, errHandshake) {
					t.Errorf("error %v is not a TLSError", rs[0].Err)
				}
			}
		})
	}
}

// Plain text after the reply to STARTTLS was inserted by an attacker on the
// network (as in CVE-2021-38371), and ends the session.
func TestSTARTTLSInjection(t *testing.T) {
	n := newNetwork(t)
	n.tls = server(newAuthority(t, "CA").issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", `
		S: 220 mx
		C: EHLO relay.example
		S: 250-mx
		S: 250 STARTTLS
		C: STARTTLS
		S: 220 go ahead<crlf>250-mx<crlf>250 AUTH PLAIN
		C: <eof>`)
	tr := n.transport()
	tr.TLS.Level = TLSEncrypt
	rs := tr.Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net"))
	expect(t, rs, "unreachable 451 4.5.0 mx1.example.net (192.0.2.1:25): STARTTLS: plain text after the reply")
	var p *ProtocolError
	if !errors.As(rs[0].Err, &p) || p.Phase != "STARTTLS" {
		t.Errorf("error %v", rs[0].Err)
	}
}

// Extensions from before the handshake are forgotten after it (RFC 3207, 4.2).
func TestSTARTTLSForgetsExtensions(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:25", strings.Replace(offer, "S: 250 STARTTLS", "S: 250-STARTTLS\nS: 250-PIPELINING\nS: 250 SIZE 1", 1)+`
		C: EHLO relay.example
		S: 250 mx`+stepwise+quit)
	expect(t, n.transport().Send(t.Context(), to("192.0.2.1:25"), mail("x\r\n", "b@example.net")), queued)
}

// With implicit TLS (port 465), the handshake comes before the greeting.
func TestImplicitTLS(t *testing.T) {
	ca := newAuthority(t, "CA")
	n := newNetwork(t)
	n.tls = server(ca.issue(nil, "mx1.example.net"))
	n.host("192.0.2.1:465", "S: <tls>\n"+ehlo+one+quit)
	tr := n.transport()
	tr.ImplicitTLS, tr.TLS.Level, tr.TLSConfig = true, TLSDomain, ca.roots()
	rs := tr.Send(t.Context(), to("192.0.2.1:465"), mail("x\r\n", "b@example.net"))
	expect(t, rs, queued)
	if !strings.HasPrefix(rs[0].TLS, "TLS1.3 TLS_") {
		t.Errorf("TLS %q", rs[0].TLS)
	}
}
