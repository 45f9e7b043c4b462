package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A sink is a simple next hop. It does not use the SMTP engines of this project,
// so that an error of them cannot hide itself.
//
// fault, if set, is called at each stage: "connect", "EHLO", "MAIL", "RCPT",
// "DATA", "dot". If it returns a text, the sink sends this reply instead of its
// own. With "hang" the sink sends nothing until the client closes the connection;
// with "drop" it closes the connection.
type sink struct {
	addr  string
	fault func(stage, arg string) string

	sessions sync.WaitGroup

	mu    sync.Mutex // guards what follows
	mails []mail
	conns map[net.Conn]bool
}

type mail struct {
	from string
	to   []string
	data []byte // dot-stuffing removed, CRLF kept
}

func newSink(t *testing.T) *sink { return newFaultySink(t, nil) }

func newFaultySink(t *testing.T, fault func(stage, arg string) string) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &sink{addr: l.Addr().String(), fault: fault, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.mu.Lock()
			k.conns[c] = true
			k.mu.Unlock()
			k.sessions.Go(func() {
				k.serve(c)
				c.Close()
				k.mu.Lock()
				delete(k.conns, c)
				k.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		k.hangUp()
	})
	return k
}

// hangUp closes all connections and waits until their goroutines are gone.
func (k *sink) hangUp() {
	k.mu.Lock()
	for c := range k.conns {
		c.Close()
	}
	k.mu.Unlock()
	k.sessions.Wait()
}

func (k *sink) received() []mail {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]mail(nil), k.mails...)
}

// serve runs a session until the client or a fault ends it.
func (k *sink) serve(c net.Conn) {
	r := bufio.NewReaderSize(c, 64<<10)
	say := func(stage, arg, usual string) bool {
		reply := usual
		if k.fault != nil {
			if f := k.fault(stage, arg); f != "" {
				reply = f
			}
		}
		switch reply {
		case "hang":
			io.Copy(io.Discard, r)
			return false
		case "drop":
			c.Close() // so that nothing more is read
			return false
		}
		fmt.Fprintf(c, "%s\r\n", reply)
		return reply[0] < '4'
	}
	if !say("connect", "", "220 sink ESMTP") {
		return
	}
	var m mail
	open := false // a MAIL was accepted
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, arg, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("EHLO", arg, "250-sink\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME")
		case "HELO":
			say("EHLO", arg, "250 sink")
		case "MAIL":
			m = mail{from: path(arg)}
			open = say("MAIL", arg, "250 2.1.0 ok")
		case "RCPT":
			if !open {
				fmt.Fprintf(c, "503 5.5.1 MAIL first\r\n")
			} else if say("RCPT", path(arg), "250 2.1.5 ok") {
				m.to = append(m.to, path(arg))
			}
		case "DATA":
			if len(m.to) == 0 {
				fmt.Fprintf(c, "554 5.5.1 no recipients\r\n")
				continue
			}
			if !say("DATA", "", "354 go on") {
				continue
			}
			if m.data, err = readData(r); err != nil {
				return
			}
			if k.fault == nil || k.fault("stored", "") == "" {
				k.mu.Lock()
				k.mails = append(k.mails, m)
				k.mu.Unlock()
			}
			say("dot", "", "250 2.0.0 accepted")
			m = mail{}
		case "RSET", "NOOP":
			m = mail{}
			fmt.Fprintf(c, "250 2.0.0 ok\r\n")
		case "QUIT":
			fmt.Fprintf(c, "221 2.0.0 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "502 5.5.1 unknown command\r\n")
		}
	}
}

func readData(r *bufio.Reader) ([]byte, error) {
	var b bytes.Buffer
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return b.Bytes(), nil
		}
		b.Write(bytes.TrimPrefix(line, []byte(".")))
		for err == bufio.ErrBufferFull { // the rest of a very long line
			if line, err = r.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
				return nil, err
			}
			b.Write(line)
		}
	}
}

// path returns the text between the angle brackets.
func path(arg string) string {
	_, p, _ := strings.Cut(arg, "<")
	p, _, _ = strings.Cut(p, ">")
	return p
}
