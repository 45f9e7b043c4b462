//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// newSink starts the mail server of example.com. It records each message by its
// recipient, and takes some time for each, so that many are always in delivery.
func newSink(t *testing.T, l *ledger) (addr string) {
	t.Helper()
	return smtptest.NewServer(t, &smtpserver.Server{
		Limits: smtpserver.Limits{Connections: 1000},
		Handler: smtpserver.HandlerFunc(func(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) (string, error) {
			defer m.Close()
			begin := time.Now()
			pause(ctx, time.Duration(rand.IntN(200))*time.Millisecond)
			for _, to := range m.Recipients {
				id, _, _ := strings.Cut(to.Addr, "@")
				node, _, _ := strings.Cut(s.Helo(), ".")
				l.delivered(id, copied{node, begin, time.Now()})
			}
			return "", nil
		}),
	}).Addr
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A load is clients that send messages to the nodes.
type load struct {
	ledger *ledger
	pause  time.Duration // of a client after each message

	mu    sync.Mutex // guards addrs
	addrs []string   // of the nodes that run
}

func (l *load) use(addrs []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs = addrs
}

// node returns the address of one node, as a client chooses one of the addresses of a
// MX host.
func (l *load) node() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.addrs) == 0 {
		return ""
	}
	return l.addrs[rand.IntN(len(l.addrs))]
}

// run runs n clients until ctx ends.
func (l *load) run(ctx context.Context, n int) {
	var clients sync.WaitGroup
	for client := range n {
		clients.Go(func() {
			for sent := 0; ctx.Err() == nil; sent++ {
				l.session(ctx, fmt.Sprintf("m-%d-%d", client, sent))
			}
		})
	}
	clients.Wait()
}

// session sends up to ten messages to a node.
func (l *load) session(ctx context.Context, name string) {
	conn, err := net.DialTimeout("tcp", l.node(), time.Second)
	if err != nil {
		pause(ctx, 100*time.Millisecond)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(40 * time.Second))
	c, err := smtp.NewClient(conn, "client.example.net")
	if err != nil {
		return
	}
	for n := 0; n < 10 && ctx.Err() == nil; n++ {
		if err := l.send(c, fmt.Sprintf("%s-%d", name, n)); err != nil {
			pause(ctx, 50*time.Millisecond)
			break
		}
		pause(ctx, l.pause)
	}
	c.Quit()
}

// content is that of all messages.
var content = []byte("From: a@example.net\r\nSubject: chaos\r\n\r\n" + strings.Repeat("A line of some text.\r\n", 150))

// send sends one message and records the answer.
func (l *load) send(c *smtp.Client, id string) error {
	if err := errors.Join(c.Mail("a@example.net"), c.Rcpt(id+"@example.com")); err != nil {
		return err
	}
	data, err := c.Data()
	if err != nil {
		return err
	}
	data.Write(content)
	err = data.Close()
	var reply *textproto.Error
	switch {
	case err == nil:
		l.ledger.answered(id, accepted)
	case errors.As(err, &reply):
		l.ledger.answered(id, refused)
		return c.Reset()
	default:
		l.ledger.answered(id, unknown)
	}
	return err
}
