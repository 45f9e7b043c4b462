package postgres

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A cutter is between a Store and the server. It cuts the connection that sends certain
// bytes, after a number of bytes of the request or of the answer.
type cutter struct {
	server string // the socket
	url    string
	wg     sync.WaitGroup

	mu     sync.Mutex
	mark   []byte // guarded by mu, like all below; nil: cut nothing
	answer bool   // count the bytes of the answer, not those of the request
	after  int
	cut    bool // it has happened
	conns  map[net.Conn]bool
}

// newCutter starts a cutter to the server of the database at databaseURL.
func newCutter(t *testing.T, databaseURL string) *cutter {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "cut") // short, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", dir+"/.s.PGSQL.5432")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{
		server: fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port),
		url:    fmt.Sprintf("postgres://%s@/%s?host=%s&port=5432", cfg.User, cfg.Database, url.QueryEscape(dir)),
		conns:  make(map[net.Conn]bool),
	}
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		c.wg.Wait()
		os.RemoveAll(dir)
	})
	return c
}

// set cuts the connection that sends mark, after so many bytes.
func (c *cutter) set(mark string, answer bool, after int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark, c.answer, c.after, c.cut = []byte(mark), answer, after, false
}

// happened reports whether a connection was cut since set, and cuts no other.
func (c *cutter) happened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark = nil
	return c.cut
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	c.conns[client] = true
	c.mu.Unlock()
	marked := false // guarded by c.mu
	c.wg.Go(func() {
		c.copy(client, server, func([]byte) bool { return marked && c.answer })
		client.Close()
	})
	c.copy(server, client, func(b []byte) bool {
		marked = marked || c.mark != nil && bytes.Contains(b, c.mark)
		return marked && !c.answer
	})
	c.mu.Lock()
	delete(c.conns, client)
	c.mu.Unlock()
}

// copy copies bytes. counts reports whether they count; it is called with c.mu locked.
func (c *cutter) copy(to, from net.Conn, counts func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		b := buf[:n]
		c.mu.Lock()
		cut := n > 0 && c.mark != nil && !c.cut && counts(b)
		if cut {
			cut = n > c.after
			b = b[:min(n, c.after)]
			c.after -= len(b)
			c.cut = cut
		}
		c.mu.Unlock()
		if _, werr := to.Write(b); werr != nil || err != nil || cut {
			to.Close()
			from.Close()
			return
		}
	}
}
