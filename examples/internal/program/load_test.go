package program

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Reloads while clients send: no session ends, no connection is refused, and each
// message that was accepted is delivered once.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, messages, reloads = 5, 40, 12
	w := newWorld(t)
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			if err := sendMany(w.listen, i, messages); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	for i := range reloads {
		line := "msg=reloaded"
		switch i % 3 {
		case 0:
			w.configure("relay.example.com", fmt.Sprintf("max-recipients: %d", 100+i))
		case 1:
			w.configure("relay.example.com", "max-recipients: many")
			line = "not reloaded"
		case 2:
			w.configure("relay.example.com")
		}
		before := strings.Count(w.p.Log(), line)
		w.p.Signal(t, syscall.SIGHUP)
		peers.Await(t, line, func() bool { return strings.Count(w.p.Log(), line) > before })
	}
	sending.Wait()
	got := make(map[string]int)
	for range clients * messages {
		_, subject, _ := strings.Cut(w.server.Inbox.Next(t).Text, "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		got[subject]++
	}
	if len(got) != clients*messages {
		t.Errorf("%d different messages, want %d", len(got), clients*messages)
	}
	w.p.Stop(t)
	if n := w.server.Inbox.Len(); n > 0 {
		t.Errorf("%d messages were delivered twice", n)
	}
}

// sendMany sends messages in two sessions, one after the other.
func sendMany(addr string, client, messages int) error {
	for half := range 2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		text := textproto.NewConn(conn)
		if _, _, err := text.ReadResponse(220); err != nil {
			return err
		}
		steps := []string{"HELO client.test"}
		for i := range messages / 2 {
			steps = append(steps, "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.com>", "DATA",
				fmt.Sprintf("Subject: %d-%d-%d\r\n\r\n.", client, half, i))
		}
		for _, step := range append(steps, "QUIT") {
			if err := text.PrintfLine("%s", step); err != nil {
				return fmt.Errorf("%s: %w", step, err)
			}
			want := 2
			if step == "DATA" {
				want = 3
			}
			if _, _, err := text.ReadResponse(want); err != nil {
				return fmt.Errorf("%s: %w", step, err)
			}
		}
	}
	return nil
}
