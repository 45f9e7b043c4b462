package smtptest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Server is a smtpserver.Server that listens on a loopback address of its
// own.
type Server struct {
	*smtpserver.Server
	// Addr is where it listens, "127.0.0.1:port".
	Addr string
	// Inbox has taken over what was received, unless the server was given a
	// Handler of its own.
	Inbox *Inbox

	served chan error
}

// NewServer starts srv (nil for a zero one) and closes it when the test ends.
// Without a Handler it gets an Inbox, without a Hostname "test.example".
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

// Inbox is a Handler that keeps what it receives.
type Inbox struct {
	messages chan *Message
}

// Message is a received message, copied out of the server's hands.
type Message struct {
	*smtpserver.Message
	Text     string // header, blank line and body
	Protocol string // as for the "with" clause of Received
	Helo     string
	Identity string
}

// To lists the recipients' addresses.
func (m *Message) To() []string {
	var to []string
	for _, r := range m.Recipients {
		to = append(to, r.Addr)
	}
	return to
}

// NewInbox makes an Inbox that holds up to 10,000 messages.
func NewInbox() *Inbox { return &Inbox{messages: make(chan *Message, 10000)} }

// Receive implements smtpserver.Handler.
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
		return "", errors.New("smtptest: the inbox is full")
	}
}

// Next waits for the next message, for a minute at most.
func (in *Inbox) Next(t testing.TB) *Message {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	select {
	case m := <-in.messages:
		return m
	case <-late.C:
		t.Fatal("smtptest: no message came")
		return nil
	}
}

// Len is the number of messages that wait to be taken.
func (in *Inbox) Len() int { return len(in.messages) }
