package smtptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Server is a smtpserver.Server that listens on a free port of the loopback
// address.
type Server struct {
	*smtpserver.Server
	// Addr is the address of the listener, "127.0.0.1:port".
	Addr string
	// Inbox has the received messages, unless the Server has a Handler of its
	// own.
	Inbox *Inbox

	served chan error
}

// NewServer starts srv and closes it when the test ends. If srv is nil,
// NewServer uses a Server with defaults. If Handler is not set, NewServer sets
// it to an Inbox. If Hostname is empty, NewServer sets it to "test.example".
func NewServer(t testing.TB, srv *smtpserver.Server) *Server {
	t.Helper()
	if srv == nil {
		srv = new(smtpserver.Server)
	}
	s := &Server{Server: srv, Inbox: NewInbox(), served: make(chan error, 1)}
	if srv.Handler == nil {
		srv.Handler = s.Inbox
	}
	if srv.Hostname == "" {
		srv.Hostname = "test.example"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	go func() { s.served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-s.served; !errors.Is(err, smtpserver.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// An Inbox is a smtpserver.Handler that keeps the messages that it receives. It
// is safe for concurrent use.
type Inbox struct {
	messages chan *Message
}

// A Message is a copy of a received message.
type Message struct {
	*smtpserver.Message
	Text     string // header, blank line and body
	Protocol string // the protocol as in the "with" clause of Received
	Helo     string // the argument of EHLO or HELO
	Identity string // the authenticated identity; empty without AUTH
}

// To returns the addresses of the recipients.
func (m *Message) To() []string {
	var to []string
	for _, r := range m.Recipients {
		to = append(to, r.Addr)
	}
	return to
}

// NewInbox returns an Inbox for up to 10,000 messages.
func NewInbox() *Inbox { return &Inbox{messages: make(chan *Message, 10000)} }

// Receive implements smtpserver.Handler. It returns an error if the Inbox is
// full.
func (in *Inbox) Receive(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
	b := make([]byte, m.Content().Size())
	if _, err := m.Content().ReadAt(b, 0); err != nil && len(b) > 0 {
		return "", err
	}
	m.Close()
	msg := &Message{Message: m, Text: string(b), Protocol: s.Protocol(), Helo: s.Helo(), Identity: s.Identity()}
	select {
	case in.messages <- msg:
		return "", nil
	default:
		return "", fmt.Errorf("smtptest: the inbox is full: it has %d messages", cap(in.messages))
	}
}

// Next removes and returns the next message. It fails the test if none arrives
// within one minute.
func (in *Inbox) Next(t testing.TB) *Message {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case m := <-in.messages:
		return m
	case <-late.C:
		t.Fatal("smtptest: no message arrived within one minute")
		return nil
	}
}

// Len returns the number of messages in the Inbox.
func (in *Inbox) Len() int { return len(in.messages) }
