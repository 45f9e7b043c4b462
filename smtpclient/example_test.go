package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// Send one message. With a password, as smtpclient.PasswordAuth("alice",
// "wonderland") instead of nil, the host must prove its name by TLS.
func ExampleSend() {
	addr, stop := startServer() // a program gives "smtp.example.net:587"
	defer stop()

	err := smtpclient.Send(context.Background(), addr.String(), nil, &smtpclient.Message{
		From:       "alice@example.com",
		Recipients: []smtpclient.Recipient{{Addr: "bob@example.net"}, {Addr: "unknown@example.net"}},
		Content:    smtpclient.String("From: alice@example.com\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHow are you?\r\n"),
	})
	var failed *smtpclient.SendError
	if errors.As(err, &failed) {
		for _, f := range failed.Failed {
			fmt.Println(f.Addr, f.Result.Reply.Code, f.Result.Reply.Message)
		}
	} else if err != nil {
		fmt.Println(err)
	}
	// Output:
	// unknown@example.net 550 No such user here
}

// Send a message that is in a file.
func ExampleFile() {
	letter, err := smtpclient.File("testdata/letter.eml")
	if err != nil {
		fmt.Println(err)
		return
	}
	addr, stop := startServer()
	defer stop()
	fmt.Println(smtpclient.Send(context.Background(), addr.String(), nil, &smtpclient.Message{
		From:       "alice@example.com",
		Recipients: []smtpclient.Recipient{{Addr: "bob@example.net"}},
		Content:    letter,
	}))
	// Output:
	// <nil>
}

// Send a message to a smart host and print the result of each recipient.
func ExampleTransport() {
	addr, stop := startServer()
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
			{Addr: "unknown@example.net"},
		},
		Content: smtpclient.String("Subject: hello\r\n\r\nHow are you?\r\n"),
	}
	for i, r := range t.Send(context.Background(), dst, m) {
		fmt.Println(m.Recipients[i].Addr, r.Outcome, r.Reply.Code, r.Reply.EnhancedCode, r.Reply.Message)
	}
	// Output:
	// bob@example.net success 250 [2 0 0] OK: queued
	// unknown@example.net failure 550 [5 1 1] No such user here
}

// A session that the program controls itself, as for a probe or one submission.
func ExampleClient() {
	addr, stop := startServer()
	defer stop()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	c := smtpclient.NewClient(conn, &smtpclient.Config{Hostname: "relay.example.com", Host: "mx.example.net"})
	defer c.Close()
	if err := c.Hello(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_, pipelining := c.Extension("PIPELINING")
	fmt.Println("pipelining:", pipelining)
	reply, err := c.Command(ctx, "NOOP")
	fmt.Println(reply.Code, err)
	fmt.Println(c.Quit(ctx))
	// Output:
	// pipelining: true
	// 250 <nil>
	// <nil>
}

// Find out whether mail could be sent, without sending any, as with telnet or
// openssl s_client.
func ExampleTransport_Probe() {
	addr, stop := startServer()
	defer stop()
	t := &smtpclient.Transport{Hostname: "relay.example.com", TLS: smtpclient.TLSPolicy{Level: smtpclient.TLSEncrypt}}
	dst := &smtpclient.Destination{
		Name:  "example.net",
		Hosts: smtpclient.HostList(smtpclient.Host{Name: "mx.example.net", Addrs: []netip.AddrPort{addr}}),
	}
	probes, err := t.Probe(context.Background(), dst)
	if err != nil {
		fmt.Println(err)
	}
	for _, p := range probes {
		var policy *smtpclient.TLSError
		if errors.As(p.Err, &policy) {
			fmt.Println(p.Host, "greets with", p.Greeting)
			fmt.Println(policy)
		}
	}
	// Output:
	// mx.example.net greets with mx.example.net ESMTP Service Ready
	// TLS policy encrypt for mx.example.net: the host does not offer STARTTLS
}

// startServer starts a host with the recipient bob.
func startServer() (netip.AddrPort, func()) {
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

// The relay uses its password only with SCRAM, which does not send it. A host
// that offers only other mechanisms gets no mail.
func ExampleMechanisms() {
	password := smtpclient.PasswordAuth("relay@example.com", "wonderland")
	auth := smtpclient.Mechanisms(password, "SCRAM-SHA-256")
	for _, offered := range [][]string{{"PLAIN", "SCRAM-SHA-256"}, {"PLAIN", "LOGIN"}} {
		client, err := auth.Start(context.Background(), "mx.example.net", offered, nil)
		if err != nil {
			fmt.Println(err)
			continue
		}
		mechanism, _, _ := client.Start()
		fmt.Println(mechanism)
	}
	// Output:
	// SCRAM-SHA-256
	// no acceptable authentication mechanism: the host offers ["PLAIN" "LOGIN"], only ["SCRAM-SHA-256"] are allowed
}
