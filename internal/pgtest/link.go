//go:build unix

package pgtest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// A link is one connection through a Proxy. It reads the messages of the protocol
// (PostgreSQL documentation, "Message Formats").
//
// A request is what the client sends up to a Sync or a simple query; the server
// answers it with messages up to ReadyForQuery. The link passes requests and answers
// as a whole, so that a cut never leaves a part of one.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu         sync.Mutex        // guards the fields below
	statements map[string]string // SQL of the prepared statements, by name
	sent       [][]string        // for each request without an answer, its SQL
	open       []string          // SQL of the answered requests of the transaction that is open
	inside     bool              // a transaction is open
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// requests passes what the client sends.
func (l *link) requests() error {
	r := bufio.NewReader(l.client)
	if err := l.startup(r); err != nil {
		return err
	}
	var held []byte  // messages of the request that have not been sent
	var sql []string // statements of the request
	parsed := portals{names: make(map[string]string)}
	for {
		kind, m, err := read(r)
		if err != nil {
			return err
		}
		held = append(held, m...)
		l.note(kind, m[5:], &parsed, &sql)
		switch kind {
		case 'Q', 'S':
			if err := l.request(sql); err != nil {
				return err
			}
			sql = nil
		case 'H', 'd', 'c', 'f', 'X', 'p': // must not wait for a Sync
		default:
			continue
		}
		if err := l.proxy.write(l.server, held); err != nil {
			return err
		}
		held = nil
	}
}

// portals knows which statement a portal executes.
type portals struct{ names map[string]string }

// note collects the SQL that the client executes.
func (l *link) note(kind byte, body []byte, p *portals, sql *[]string) {
	switch kind {
	case 'Q':
		*sql = append(*sql, strings.ToLower(text(&body)))
	case 'P':
		name := text(&body)
		l.mu.Lock()
		l.statements[name] = strings.ToLower(text(&body))
		l.mu.Unlock()
	case 'B':
		portal := text(&body)
		p.names[portal] = text(&body)
	case 'E':
		l.mu.Lock()
		*sql = append(*sql, l.statements[p.names[text(&body)]])
		l.mu.Unlock()
	}
}

// request remembers a request that is complete, before it is sent.
func (l *link) request(sql []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.commits(sql) {
		if f := l.proxy.find(false, l.open, sql); f != nil && l.proxy.happen(f) {
			return errCut
		}
	}
	l.sent = append(l.sent, sql)
	return nil
}

// commits reports whether a request commits a transaction, if it succeeds. The caller
// holds the lock.
func (l *link) commits(sql []string) bool {
	inside := l.inside
	for _, s := range sql {
		s = strings.TrimSpace(s)
		if strings.HasPrefix(s, "begin") || strings.HasPrefix(s, "start transaction") {
			inside = true
		}
		if strings.HasPrefix(s, "commit") || strings.HasPrefix(s, "end") || strings.Contains(s, "; commit") || strings.Contains(s, ";commit") {
			return true
		}
	}
	return !inside
}

// answers passes what the server sends.
func (l *link) answers() error {
	r := bufio.NewReader(l.server)
	var held []byte
	failed := false
	for {
		kind, m, err := read(r)
		if err != nil {
			return errors.Join(err, l.proxy.write(l.client, held))
		}
		held = append(held, m...)
		switch kind {
		case 'E':
			failed = true
		case 'Z':
			if err := l.answered(m[5], failed); err != nil {
				return err
			}
			failed = false
		}
		if kind != 'Z' && l.suspect() {
			continue
		}
		if err := l.proxy.write(l.client, held); err != nil {
			return err
		}
		held = nil
	}
}

// suspect reports whether the answer that the server is sending may be the one to cut.
func (l *link) suspect() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent) > 0 && l.commits(l.sent[0]) && l.proxy.find(true, l.open, l.sent[0]) != nil
}

// answered notes the end of an answer. status is I outside of a transaction.
func (l *link) answered(status byte, failed bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) == 0 { // the answer to the startup
		return nil
	}
	l.open = append(l.open, l.sent[0]...)
	l.sent = l.sent[1:]
	if l.inside = status != 'I'; l.inside {
		return nil
	}
	f := l.proxy.find(true, l.open)
	l.open = nil
	if f != nil && !failed && l.proxy.happen(f) {
		return errCut
	}
	return nil
}

// startup passes the first message, which has no kind. It says no to TLS.
func (l *link) startup(r *bufio.Reader) error {
	const wantTLS, wantGSS = 80877103, 80877104
	for {
		size, err := r.Peek(8)
		if err != nil {
			return err
		}
		m := make([]byte, binary.BigEndian.Uint32(size))
		if _, err := io.ReadFull(r, m); err != nil {
			return err
		}
		if code := binary.BigEndian.Uint32(m[4:]); code != wantTLS && code != wantGSS {
			return l.proxy.write(l.server, m)
		}
		if err := l.proxy.write(l.client, []byte("N")); err != nil {
			return err
		}
	}
}

// read reads one message: its kind, and all of its bytes (the body begins at m[5]).
func read(r *bufio.Reader) (kind byte, m []byte, err error) {
	head, err := r.Peek(5)
	if err != nil {
		return 0, nil, err
	}
	m = make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	_, err = io.ReadFull(r, m)
	return m[0], m, err
}

// text takes a string that ends with a zero byte from the front of body.
func text(body *[]byte) string {
	s, rest, _ := bytes.Cut(*body, []byte{0})
	*body = rest
	return string(s)
}
