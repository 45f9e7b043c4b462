package milter

import (
	"crypto/tls"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The macros are those that sendmail sends by default and milters have come to
// rely on.

// clean is s without NUL, which would end it early and make what follows
// something else.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// macros tells the milter names and values for the command that follows.
func (v *conversation) macros(code gomilter.Code, kv []string) error {
	if len(kv) == 0 {
		return nil
	}
	for i := range kv {
		kv[i] = clean(kv[i])
	}
	return v.session.Macros(code, kv...)
}

func connectMacros(s *smtpserver.Session) []string {
	m := []string{"j", s.Hostname(), "{daemon_name}", s.Connector(), "v", "Bridgehead"}
	if a, ok := clientAddr(s); ok {
		ip := a.Addr().String()
		m = append(m, "_", "["+ip+"]", "{client_addr}", ip, "{client_name}", "["+ip+"]")
	}
	return m
}

func heloMacros(s *smtpserver.Session) []string {
	t := s.TLS()
	if t == nil {
		return nil
	}
	m := []string{"{tls_version}", tls.VersionName(t.Version), "{cipher}", tls.CipherSuiteName(t.CipherSuite)}
	if len(t.PeerCertificates) > 0 {
		c := t.PeerCertificates[0]
		m = append(m, "{cert_subject}", c.Subject.String(), "{cert_issuer}", c.Issuer.String())
	}
	return m
}

func mailMacros(s *smtpserver.Session, m *smtpserver.Message) []string {
	macros := append(heloMacros(s), "i", m.ID, "{mail_addr}", m.From)
	if id := s.Identity(); id != "" {
		macros = append(macros, "{auth_type}", "SASL", "{auth_authen}", id)
	}
	return macros
}

func rcptMacros(m *smtpserver.Message, to string) []string {
	return append(messageMacros(m), "{rcpt_addr}", to)
}

func messageMacros(m *smtpserver.Message) []string { return []string{"i", m.ID} }
