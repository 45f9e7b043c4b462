// Package smtptest helps to test SMTP servers, as httptest does for net/http.
//
// [NewServer] starts a smtpserver.Server for a test, with an [Inbox] that keeps
// the received messages. [Talk] runs a script of commands and expected replies
// against any SMTP server. A [Listener] connects a server without a network:
// testing/synctest can then advance its timeouts at once, and clients can have
// any address. [TLSConfig] makes a TLS configuration with a new certificate.
//
//	func TestUnknownUser(t *testing.T) {
//		srv := smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{myAgent}})
//		smtptest.Talk(t, srv.Addr, `
//			S: 220
//			C: EHLO client.example
//			S: 250 PIPELINING
//			C: MAIL FROM:<a@example.com>
//			C: RCPT TO:<unknown@example.net>
//			S: 250 2.1.0
//			S: 550 5.1.1
//		`)
//	}
package smtptest
