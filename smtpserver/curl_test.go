//go:build unix

package smtpserver_test

import (
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// In the AUTH parameter of MAIL, curl sends AUTH=<alice@example.com> with
// brackets, which are not allowed in an xtext mailbox. It sends the user name
// without encoding.
func TestSenderCurl(t *testing.T) {
	curl := peers.Need(t, "curl")
	srv, host, port, _ := senderServer(t, func(s *smtpserver.Server) { s.AllowInsecureAuth = true })
	command(t, "", curl, "--silent", "--show-error", "--url", "smtp://"+host+":"+port+"/my%20printer", "--user", "alice:wonderland",
		"--mail-from", "a@example.com", "--mail-rcpt", "b@example.net", "--mail-auth", "alice@example.com", "--upload-file", messageFile(t, "\r\n"))
	m := arrived(t, srv, "ESMTPA")
	if m.Options.Auth == nil || *m.Options.Auth != "" || m.Helo != "my%20printer" {
		t.Errorf("AUTH %v, HELO %q", m.Options.Auth, m.Helo)
	}
}
