package smtpclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Send a message to a smart host that demands nothing, and look at what became
// of each recipient.
func ExampleTransport() {
	addr, stop := standIn()
	defer stop()

	t := &smtpclient.Transport{Hostname: "relay.example.com"}
	defer t.Close()

	dst := &smtpclient.Destination{
		Name:  "smarthost",
		Hosts: smtpclient.HostList(smtpclient.Host{Name: "mx.example.net", Addrs: []netip.AddrPort{addr}}),
	}
	m := &smtpclient.Message{
		From: "alice@example.com",
		Recipients: []smtpclient.Recipient{
			{Addr: "bob@example.net"},
			{Addr: "nobody@example.net"},
		},
		Content: content.Of([]byte("Subject: hello\r\n\r\nHow are you?\r\n")),
	}
	for i, r := range t.Send(context.Background(), dst, m) {
		fmt.Println(m.Recipients[i].Addr, r.Outcome, r.Reply.Code, r.Reply.EnhancedCode, r.Reply.Message)
	}
	// Output:
	// bob@example.net success 250 [2 0 0] OK: queued
	// nobody@example.net failure 550 [5 1 1] No such user here
}

// standIn is a host that knows bob.
func standIn() (netip.AddrPort, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
	srv.Domain = "mx.example.net"
	go srv.Serve(l)
	return netip.MustParseAddrPort(l.Addr().String()), func() { srv.Close() }
}

type session struct{}

func (session) Mail(from string, _ *smtp.MailOptions) error { return nil }
func (session) Data(r io.Reader) error                      { _, err := io.Copy(io.Discard, r); return err }
func (session) Reset()                                      {}
func (session) Logout() error                               { return nil }

func (session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !strings.HasPrefix(to, "bob@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
	}
	return nil
}
