package smtpclient

import (
	"errors"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpclient/dane"
	"github.com/bridgehead-mail/bridgehead/smtpclient/tlsrpt"
)

// A message with "TLS-Required: No" is delivered with any TLS policy that the
// receiving domain publishes, and its session is not reported (RFC 8689, 4;
// RFC 8460, 3). It does not lower the operator's own level.
func TestTLSRequiredNo(t *testing.T) {
	const field = "TLS-Required: No\r\n"
	ca, stranger := newAuthority(t, "CA"), newAuthority(t, "stranger")
	wrong := stranger.issue(nil, "wrong.example")
	plain := noOffer + stepwise + quit
	for _, tt := range []struct {
		name   string
		header string
		level  TLSLevel
		opt    bool // REQUIRETLS
		// trusted: the certificate is one of the CA
		trusted bool
		report  bool // the null reverse-path
		dane    *dane.Answer
		script  []string
		want    string // empty: success
	}{
		{name: "control: MTA-STS holds without the field", script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "plain text", header: field, script: []string{plain}},
		{name: "a certificate that is not trusted", header: field, script: []string{offer + upgraded}},
		{name: "DANE does not match", header: field, dane: &dane.Answer{Records: []dane.Record{{Usage: 3, Matching: 1, Data: make([]byte, 32)}}}, script: []string{offer + upgraded}},
		{name: "the TLSA lookup fails", header: field, dane: &dane.Answer{Err: errors.New("bogus")}, script: []string{offer + upgraded}},
		{name: "the handshake fails", header: field, script: []string{offer[:strings.Index(offer, "S: <tls>")] + "C: <garble>\n", plain}},
		{name: "any case, folded", header: "tls-required:\r\n\tno \r\n", script: []string{plain}},
		{name: "behind other fields", header: "Subject: x\r\n y\r\nTLS-Mode: 1\r\n" + field, script: []string{plain}},
		{name: "another value", header: "TLS-Required: Yes\r\n", script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "twice", header: field + field, script: []string{plain}},
		{name: "twice, with different values", header: field + "TLS-Required: Yes\r\n", script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "in the body", header: "Subject: x\r\n\r\n" + field, script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "in the body of a message without a header", header: "\r\n" + field, script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "REQUIRETLS goes first", header: field, opt: true, script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "REQUIRETLS of a report, not offered", header: field, opt: true, report: true, script: []string{strings.Replace(plain, "<a@example.com>", "<>", 1)}},
		{name: "REQUIRETLS of a report, offered", header: field, opt: true, report: true,
			script: []string{strings.Replace(strings.Replace(plain, "S: 250 mx", "S: 250-mx\nS: 250 REQUIRETLS", 1), "<a@example.com>", "<> REQUIRETLS", 1)}},
		{name: "REQUIRETLS of a report without the field", opt: true, report: true, script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "encryption is still required", header: field, level: TLSEncrypt, script: []string{noOffer + quit}, want: "unreachable 451 4.7.4 ..."},
		{name: "encryption with any certificate", header: field, level: TLSEncrypt, script: []string{offer + upgraded}},
		{name: "the operator's level", header: field, level: TLSDomain, script: []string{offer}, want: "unreachable 451 4.7.5 ..."},
		{name: "the operator's level is met", header: field, level: TLSCertificate, trusted: true, script: []string{offer + upgraded}},
		{name: "the operator's DANE", header: field, level: TLSDANE, want: "unreachable 451 4.7.5 ..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.tls = server(wrong)
			if tt.trusted {
				n.tls = server(ca.issue(nil, "wrong.example"))
			}
			n.host("192.0.2.1:25", tt.script...)
			tr := n.transport()
			tr.TLS.Level, tr.TLSConfig = tt.level, ca.roots()
			tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: mx1.example.net\nmax_age: 86400\n").cache()
			reports := 0
			tr.TLSReport = func(tlsrpt.Session) { reports++ }
			dst := to("192.0.2.1:25")
			dst.Domain = "example.net"
			hosts, _ := dst.Hosts(t.Context())
			hosts[0].DANE = tt.dane
			m := mail(tt.header+"\r\nx\r\n", "b@example.net")
			if m.Options.RequireTLS = tt.opt; tt.report {
				m.From = ""
			}
			expect(t, tr.Send(t.Context(), dst, m), or(tt.want, queued))
			if tt.want == "" && reports > 0 {
				t.Errorf("%d sessions were reported", reports)
			}
		})
	}
}

// A session that was opened for a message with "TLS-Required: No" is not used for
// other mail, which must meet the policy.
func TestTLSRequiredNoSessionIsNotShared(t *testing.T) {
	n := newNetwork(t)
	n.host("192.0.2.1:25", noOffer+stepwise+quit, noOffer+quit)
	tr := n.transport()
	tr.MTASTS = web("version: STSv1\nmode: enforce\nmx: mx1.example.net\nmax_age: 86400\n").cache()
	tr.HostDownTime = -1
	dst := to("192.0.2.1:25")
	dst.Domain = "example.net"
	expect(t, tr.Send(t.Context(), dst, mail("TLS-Required: No\r\n\r\nx\r\n", "b@example.net")), queued)
	expect(t, tr.Send(t.Context(), dst, mail("Subject: secret\r\n\r\nx\r\n", "b@example.net")), "unreachable 451 4.7.4 ...")
	tr.CloseIdle()
}

// The field is found for any division of the content into pieces.
func TestTLSRequiredInPieces(t *testing.T) {
	text := "Subject: x\r\nTLS-Required: No\r\nTo: b\r\n\r\nTLS-Required: No\r\n"
	for i := range len(text) {
		if !tlsOptional(content.Of([]byte(text[:i]), []byte(text[i:]))) {
			t.Errorf("cut at %d: not found", i)
		}
	}
	long := strings.Repeat("X: y\r\n", headerMost) + "TLS-Required: No\r\n\r\n"
	if tlsOptional(content.Of([]byte(long))) {
		t.Error("found beyond the bound")
	}
}

func FuzzTLSRequired(f *testing.F) {
	f.Add("TLS-Required: No\r\n\r\nx")
	f.Add("tls-required :\r\n no\r\n\r\n")
	f.Add("\r\nTLS-Required: No")
	f.Fuzz(func(t *testing.T, s string) {
		whole := tlsOptional(content.Of([]byte(s)))
		if whole && !strings.Contains(strings.ToLower(s), "tls-required") {
			t.Error("found in nothing")
		}
		if half := len(s) / 2; tlsOptional(content.Of([]byte(s[:half]), []byte(s[half:]))) != whole {
			t.Error("pieces are read differently")
		}
	})
}
