package milter

import (
	"crypto/tls"
	"net/netip"
	"strings"

	gomilter "github.com/emersion/go-milter"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The macros are those that sendmail sends by default, except {auth_ssf}, because
// the mechanisms of the server have no security layer.

// clean removes NUL from s, because NUL ends a string in the protocol.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// macros sends names and values of the macros for the next command.
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
	if a, err := netip.ParseAddrPort(s.LocalAddr().String()); err == nil {
		m = append(m, "{if_name}", s.Hostname(), "{if_addr}", a.Addr().Unmap().WithZone("").String())
	}
	return m
}

func heloMacros(s *smtpserver.Session) []string {
	t := s.TLS()
	if t == nil {
		return nil
	}
	cipher := tls.CipherSuiteName(t.CipherSuite)
	m := []string{"{tls_version}", tls.VersionName(t.Version), "{cipher}", cipher, "{cipher_bits}", cipherBits(cipher)}
	if len(t.PeerCertificates) > 0 {
		c := t.PeerCertificates[0]
		m = append(m, "{cert_subject}", c.Subject.String(), "{cert_issuer}", c.Issuer.String())
	}
	return m
}

// cipherBits returns the strength of a cipher suite in bits, as in OpenSSL.
func cipherBits(suite string) string {
	switch {
	case strings.Contains(suite, "3DES"):
		return "112"
	case strings.Contains(suite, "256_") || strings.Contains(suite, "CHACHA20"): // AES_256_GCM, not SHA256
		return "256"
	}
	return "128"
}

// mailer is sendmail's name for the mailer that relays by ESMTP. The host macros
// are the domains of the addresses, because the route is chosen later.
const mailer = "esmtp"

func mailMacros(s *smtpserver.Session, m *smtpserver.Message) []string {
	macros := append(heloMacros(s), "i", m.ID, "{mail_addr}", m.From, "{mail_mailer}", mailer, "{mail_host}", addr.DomainOf(m.From))
	if id := s.Identity(); id != "" {
		macros = append(macros, "{auth_type}", "SASL", "{auth_authen}", id)
	}
	if author := m.Options.Auth; author != nil && *author != "" {
		macros = append(macros, "{auth_author}", *author)
	}
	return macros
}

func rcptMacros(m *smtpserver.Message, to string) []string {
	return append(messageMacros(m), "{rcpt_addr}", to, "{rcpt_mailer}", mailer, "{rcpt_host}", addr.DomainOf(to))
}

func messageMacros(m *smtpserver.Message) []string { return []string{"i", m.ID} }

// endMacros are the macros for the end of the message.
func endMacros(m *smtpserver.Message) []string {
	return append(messageMacros(m), "{msg_id}", m.Header.Get("Message-ID"))
}
