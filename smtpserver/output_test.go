package smtpserver_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// A client sends many commands before it reads replies. The server does not
// collect the replies in memory.
func TestRepliesAreNotCollected(t *testing.T) {
	c := &inputConn{in: bytes.Repeat([]byte("HELP\r\n"), 20000), closed: make(chan struct{})}
	srv := &smtpserver.Server{Hostname: "test.example", AllowEarlyInput: true}
	l := &oneConn{c: c, closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	<-c.closed
	srv.Close()
	if err := <-served; !errors.Is(err, smtpserver.ErrServerClosed) {
		t.Error(err)
	}
	if n := bytes.Count(c.out.Bytes(), []byte("214 ")); n != 20000 {
		t.Errorf("%d replies", n)
	}
	if c.most > 64<<10 {
		t.Errorf("%d bytes of replies were written at once", c.most)
	}
}

// Clients that send commands and do not read replies need little more memory
// than idle clients.
func TestMemoryOfClientsThatDoNotRead(t *testing.T) {
	const sessions = 100
	help := strings.Repeat("x", 400)
	s := smtptest.NewServer(t, &smtpserver.Server{
		Agents: []smtpserver.Agent{{Command: func(context.Context, *smtpserver.Session, string, string) (*smtpserver.Reply, error) {
			return &smtpserver.Reply{Code: 214, Lines: []string{help}}, nil
		}}},
		Limits: smtpserver.Limits{ConnectionsPerAddr: -1, ConnectionsPerNetwork: -1},
	})
	before := heap()
	var stuck sync.WaitGroup
	var clients []*raw
	for range sessions {
		c := dialRaw(t, s.Addr)
		clients = append(clients, c)
		c.expect("220")
		stuck.Go(func() {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			for {
				if _, err := c.Write(bytes.Repeat([]byte("HELP\r\n"), 20000)); err != nil {
					return // the server takes no more before it gets rid of its replies
				}
			}
		})
	}
	stuck.Wait()
	// Sessions that have more commands to answer leave garbage. They stop when the buffers
	// of the connection are full.
	peers.Await(t, "a client that does not read costs at most 64 KiB of heap", func() bool {
		return (heap()-before)/sessions <= 64<<10
	})
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(time.Minute)) // that of dialRaw may be over
		c.expect("214")                                // the session goes on
	}
}
