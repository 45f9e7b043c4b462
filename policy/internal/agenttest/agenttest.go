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

// A Taken message is what a Server's Handler took over.
type Taken struct {
	ID   string
	From string
	To   []string
	Data string // header, blank line and body
	// Message is the message itself.
	Message *smtpserver.Message
}

// A Server has the agents under test.
type Server struct {
	*smtpserver.Server
	Addr string

	mu    sync.Mutex // guards taken
	taken []Taken
}

// Receive implements smtpserver.Handler.
func (s *Server) Receive(_ context.Context, _ *smtpserver.Session, m *smtpserver.Message) (string, error) {
	var b strings.Builder
	if _, err := m.Content().WriteTo(&b); err != nil {
		return "", err
	}
	t := Taken{ID: m.ID, From: m.From, Data: b.String(), Message: m}
	for _, r := range m.Recipients {
		t.To = append(t.To, r.Addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, t)
	return "", nil
}

// Taken are the messages that were taken over so far.
func (s *Server) Taken() []Taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Taken(nil), s.taken...)
}

// Start runs a server with the agents until the test ends.
func Start(t testing.TB, agents ...smtpserver.Agent) *Server {
	t.Helper()
	return StartServer(t, &smtpserver.Server{Hostname: "relay.example.com", Agents: agents})
}

// StartServer runs srv until the test ends.
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

// A Client speaks SMTP line by line.
type Client struct {
	t    testing.TB
	text *textproto.Conn
}

// Dial connects, reads the banner and says EHLO.
func (s *Server) Dial(t testing.TB) *Client {
	t.Helper()
	c := s.Connect(t)
	if code, text := c.Read(); code != 220 {
		t.Fatalf("banner: %d %s", code, text)
	}
	c.Want(250, "EHLO client.example.org")
	return c
}

// Connect connects and leaves the banner to be read.
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

// Want is Do with a reply that must have that code.
func (c *Client) Want(want int, line string, args ...any) (text string) {
	c.t.Helper()
	code, text := c.Do(line, args...)
	if code != want {
		c.t.Fatalf("%s: %d %s, want %d", fmt.Sprintf(line, args...), code, text, want)
	}
	return text
}

// Send sends a message, with CRLF line ends, and returns the reply that
// decided about it: the first refusal, or that to the end of data.
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

// Data sends the content.
func (c *Client) Data(data string) (code int, text string) {
	c.t.Helper()
	if code, text = c.Do("DATA"); code != 354 {
		return code, text
	}
	// Stuffed by hand: textproto's DotWriter would mend the line ends.
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

// Relay sends one message through the agents and returns it as it was taken
// over. It fails the test when the message is refused.
func Relay(t testing.TB, from string, to []string, data string, agents ...smtpserver.Agent) Taken {
	t.Helper()
	s := Start(t, agents...)
	c := s.Dial(t)
	if code, text := c.Send(from, to, data); code != 250 {
		t.Fatalf("the message was refused: %d %s", code, text)
	}
	c.Want(221, "QUIT")
	taken := s.Taken()
	if len(taken) != 1 {
		t.Fatalf("%d messages were taken over", len(taken))
	}
	return taken[0]
}

// Refused sends one message that must be refused with that code, and returns
// the text of the reply.
func Refused(t testing.TB, want int, from string, to []string, data string, agents ...smtpserver.Agent) string {
	t.Helper()
	s := Start(t, agents...)
	code, text := s.Dial(t).Send(from, to, data)
	if code != want {
		t.Fatalf("the reply is %d %s, want %d", code, text, want)
	}
	if n := len(s.Taken()); n > 0 {
		t.Fatalf("%d messages were taken over all the same", n)
	}
	return text
}
