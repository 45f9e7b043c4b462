package policy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The wrapped agent is not called for sessions with the right, and is called
// for all others.
func TestUnless(t *testing.T) {
	no := errors.New("no")
	type (
		session = smtpserver.Session
		message = smtpserver.Message
	)
	agents := map[string]smtpserver.Agent{
		"connect": {Connect: func(context.Context, *session) error { return no }},
		"helo":    {Helo: func(context.Context, *session, string) error { return no }},
		"auth":    {Auth: func(context.Context, *session) error { return no }},
		"mail":    {Mail: func(context.Context, *session, string, *smtp.MailOptions) error { return no }},
		"rcpt":    {Rcpt: func(context.Context, *session, string, *smtp.RcptOptions) error { return no }},
		"data":    {Data: func(context.Context, *session) error { return no }},
		"header":  {EndOfHeaders: func(context.Context, *session, *message) error { return no }},
		"body":    {EndOfData: func(context.Context, *session, *message) error { return no }},
	}
	replies := map[string][]string{ // the reply to each step of the session
		"connect": {"451"}, "helo": {"220", "451"}, "auth": {"220", "250", "451"}, "mail": {"220", "250", "235", "451"},
		"rcpt": {"220", "250", "235", "250", "451"}, "data": {"220", "250", "235", "250", "250", "451"},
		"header": {"220", "250", "235", "250", "250", "354", "451"}, "body": {"220", "250", "235", "250", "250", "354", "451"},
	}
	steps := []string{"", "EHLO client.example", "AUTH PLAIN AGFsaWNlAGVjaWxh", "MAIL FROM:<>", "RCPT TO:<alice@example.com>", "DATA", "Subject: x\nC:\nC: ."}
	relay := &Relay{Domains: mustDomains(t, Domain{Name: "example.com"}), Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for event, a := range agents {
		t.Run(event, func(t *testing.T) {
			srv := servePasswords(t, relay.Agent(), Unless(BypassAntiSpam, a))
			script := ""
			for i, want := range replies[event] {
				if steps[i] != "" {
					script += "C: " + steps[i] + "\n"
				}
				script += "S: " + want + "\n"
			}
			srv.Talk(t, stranger, script)
			script = ""
			for i, want := range []string{"220", "250", "235", "250", "250", "354", "250"} {
				if steps[i] != "" {
					script += "C: " + steps[i] + "\n"
				}
				script += "S: " + want + "\n"
			}
			srv.Talk(t, neighbour, script)
		})
	}
}

// named is an address of a type that only this listener uses.
type named string

func (named) Network() string  { return "own" }
func (n named) String() string { return string(n) }

// elsewhere is a listener whose connections have addresses of this type.
type elsewhere struct {
	net.Listener
	remote net.Addr
}

type elsewhereConn struct {
	net.Conn
	remote net.Addr
}

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return elsewhereConn{c, l.remote}, err
}

func (c elsewhereConn) RemoteAddr() net.Addr { return c.remote }

// The server reads an address of an unknown type if possible. A client without
// an address is in no network.
func TestAddressesOfOtherTypes(t *testing.T) {
	for remote, want := range map[named]string{"10.1.2.3:25": "250", "[::ffff:10.1.2.3]:25": "250", "192.0.2.1:25": "550", "@": "550", "": "550"} {
		relay := &Relay{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		srv := &smtpserver.Server{Hostname: "test.example", Agents: []smtpserver.Agent{relay.Agent()}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error)
		go func() { served <- srv.Serve(elsewhere{l, remote}) }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		talkOn(t, c, tryToRelay+want)
		srv.Close()
		<-served
	}
}

// The texts of levels, kinds and rights.
func TestStrings(t *testing.T) {
	for got, want := range map[string]string{
		Authoritative.String(): "authoritative", InternalRelay.String(): "internal relay", ExternalRelay.String(): "external relay", Kind(9).String(): "Kind(9)",
		NormalPressure.String(): "normal", MediumPressure.String(): "medium", HighPressure.String(): "high",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	use, failed := 99.0, error(nil)
	p := &Pressure{Logger: logger, Resources: []Resource{{Name: "disk", High: 97, Use: func() (float64, error) { return use, failed }}}}
	now := time.Now()
	p.measure(now)
	failed = errors.New("cannot stat")
	p.measure(now.Add(time.Minute))
	d := &FileDirectory{Path: t.TempDir() + "/none", Logger: logger}
	if d.Load() == nil {
		t.Error("a missing file is loaded")
	}
	for _, want := range []string{"resource=disk use=99 from=normal to=high", "cannot stat", "directory cannot be read"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, log.String())
		}
	}
}
