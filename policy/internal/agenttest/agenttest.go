package agenttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// A Message is a message that the Handler of a Server accepted.
type Message struct {
	ID   string
	From string
	To   []string
	Data string // header, blank line and body
	// Message is the message itself.
	Message *smtpserver.Message
}

// A Server is a server with the agents under test. It is the Handler too.
type Server struct {
	*smtpserver.Server
	Addr string

	mu       sync.Mutex // guards accepted
	accepted []Message
}

// Receive implements smtpserver.Handler.
func (s *Server) Receive(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
	var b strings.Builder
	if _, err := m.Content().WriteTo(&b); err != nil {
		return "", err
	}
	t := Message{ID: m.ID, From: m.From, Data: b.String(), Message: m}
	for _, r := range m.Recipients {
		t.To = append(t.To, r.Addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = append(s.accepted, t)
	return "", nil
}

// Accepted returns the messages that were accepted so far.
func (s *Server) Accepted() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.accepted...)
}

// Start starts a server with the agents. The server runs until the test ends.
func Start(t testing.TB, agents ...smtpserver.Agent) *Server {
	t.Helper()
	return StartServer(t, &smtpserver.Server{Hostname: "relay.example.com", Agents: agents})
}

// StartServer starts srv, which runs until the test ends.
func StartServer(t testing.TB, srv *smtpserver.Server) *Server {
	t.Helper()
	s := &Server{Server: srv}
	if srv.Handler == nil {
		srv.Handler = s
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return s
}

// A Client is an SMTP client that sends single lines.
type Client struct {
	t    testing.TB
	text *textproto.Conn
}

// Dial connects, reads the banner and sends EHLO.
func (s *Server) Dial(t testing.TB) *Client {
	t.Helper()
	c := s.Connect(t)
	if code, text := c.Read(); code != 220 {
		t.Fatalf("banner: %d %s", code, text)
	}
	c.Want(250, "EHLO client.example.org")
	return c
}

// Connect connects and does not read the banner.
func (s *Server) Connect(t testing.TB) *Client {
	t.Helper()
	conn, err := textproto.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Client{t, conn}
}

// Read reads one reply.
func (c *Client) Read() (code int, text string) {
	c.t.Helper()
	code, text, err := c.text.ReadResponse(0)
	if err != nil && code == 0 {
		return 0, err.Error()
	}
	return code, text
}

// Do sends a line and reads the reply.
func (c *Client) Do(line string, args ...any) (code int, text string) {
	c.t.Helper()
	if err := c.text.PrintfLine("%s", fmt.Sprintf(line, args...)); err != nil {
		return 0, err.Error()
	}
	return c.Read()
}

// Want calls Do and fails the test if the reply has another code than want.
func (c *Client) Want(want int, line string, args ...any) (text string) {
	c.t.Helper()
	code, text := c.Do(line, args...)
	if code != want {
		c.t.Fatalf("%s: %d %s, want %d", fmt.Sprintf(line, args...), code, text, want)
	}
	return text
}

// Send sends a message with CRLF line ends. It returns the first reply that is a
// refusal, or the reply to the end of data.
func (c *Client) Send(from string, to []string, data string) (code int, text string) {
	c.t.Helper()
	if code, text = c.Do("MAIL FROM:<%s>", from); code != 250 {
		return code, text
	}
	for _, r := range to {
		if code, text = c.Do("RCPT TO:<%s>", r); code != 250 {
			return code, text
		}
	}
	return c.Data(data)
}

// Data sends the content of a message with DATA and returns the final reply.
func (c *Client) Data(data string) (code int, text string) {
	c.t.Helper()
	if code, text = c.Do("DATA"); code != 354 {
		return code, text
	}
	// Data does not use textproto's DotWriter, because that changes line ends.
	stuffed := strings.ReplaceAll("\r\n"+data, "\r\n.", "\r\n..")[2:]
	if !strings.HasSuffix(stuffed, "\r\n") {
		stuffed += "\r\n"
	}
	if _, err := io.WriteString(c.text.W, stuffed+".\r\n"); err != nil {
		return 0, err.Error()
	}
	if err := c.text.W.Flush(); err != nil {
		return 0, err.Error()
	}
	return c.Read()
}

// Relay sends one message through the agents and returns the accepted message. It
// fails the test if the message is refused.
func Relay(t testing.TB, from string, to []string, data string, agents ...smtpserver.Agent) Message {
	t.Helper()
	s := Start(t, agents...)
	c := s.Dial(t)
	if code, text := c.Send(from, to, data); code != 250 {
		t.Fatalf("the message was refused: %d %s", code, text)
	}
	c.Want(221, "QUIT")
	accepted := s.Accepted()
	if len(accepted) != 1 {
		t.Fatalf("%d messages were accepted, want 1", len(accepted))
	}
	return accepted[0]
}

// Refused sends one message and returns the text of the reply. It fails the test
// unless the message is refused with the code want.
func Refused(t testing.TB, want int, from string, to []string, data string, agents ...smtpserver.Agent) string {
	t.Helper()
	s := Start(t, agents...)
	code, text := s.Dial(t).Send(from, to, data)
	if code != want {
		t.Fatalf("the reply is %d %s, want %d", code, text, want)
	}
	if n := len(s.Accepted()); n > 0 {
		t.Fatalf("%d messages were accepted after the refusal", n)
	}
	return text
}
