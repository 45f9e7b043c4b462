package smtpclient

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

// flaky is a host over real TCP that closes connections or refuses commands at
// random, and records the messages that it has accepted.
type flaky struct {
	extensions string

	mu    sync.Mutex     // guards taken
	taken map[string]int // "message recipient" to the times it was taken
}

// serve serves one client.
func (f *flaky) serve(conn net.Conn, rnd *rand.Rand) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(s string) { io.WriteString(conn, s+"\r\n") }
	// answer usually accepts. Sometimes it refuses, or accepts and closes the
	// connection without a reply. goOn is false when the connection ends.
	answer := func(yes string, accept func()) (ok, goOn bool) {
		switch rnd.IntN(60) {
		case 0:
			accept()
			return false, false
		case 1:
			say("421 4.3.2 bye")
			return false, false
		case 2:
			say("451 4.3.0 not now")
			return false, true
		case 3:
			say("550 5.7.1 never")
			return false, true
		}
		accept()
		say(yes)
		return true, true
	}
	if ok, _ := answer("220 flaky", func() {}); !ok {
		return
	}
	var rcpts []string
	mail, chunks := false, ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		yes := "250 2.0.0 ok"
		switch verb {
		case "EHLO":
			yes = "250-flaky\r\n" + f.extensions + "250 PIPELINING"
		case "MAIL":
			if mail {
				say("503 5.5.1 nested MAIL")
				continue
			}
		case "RCPT":
			if !mail {
				say("503 5.5.1 no MAIL")
				continue
			}
		case "DATA":
			if len(rcpts) == 0 {
				say("554 5.5.1 no recipients")
				continue
			}
			yes = "354 go"
		case "BDAT":
			var n int
			fmt.Sscanf(arg, "%d", &n)
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			if !mail || len(rcpts) == 0 {
				say("503 5.5.1 no recipients")
				continue
			}
			chunks += string(b)
			if strings.HasSuffix(arg, " LAST") {
				if !f.end(chunks, rcpts, answer) {
					return
				}
				mail, rcpts, chunks = false, nil, ""
				continue
			}
		case "QUIT":
			say("221 bye")
			return
		}
		ok, goOn := answer(yes, func() {})
		if !goOn {
			return
		}
		switch {
		case !ok:
		case verb == "RSET":
			mail, rcpts, chunks = false, nil, ""
		case verb == "MAIL":
			mail = true
		case verb == "RCPT":
			rcpts = append(rcpts, arg)
		case verb == "DATA":
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			if !f.end(b.String(), rcpts, answer) {
				return
			}
			mail, rcpts = false, nil
		}
	}
}

// end accepts a message or refuses it. It may accept it and close the connection
// without a reply.
func (f *flaky) end(text string, rcpts []string, answer func(string, func()) (bool, bool)) bool {
	_, goOn := answer("250 2.0.0 taken", func() {
		id, _, _ := strings.Cut(text, "\r\n")
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, r := range rcpts {
			f.taken[id+" "+r]++
		}
	})
	return goOn
}

// For any behavior of the host: a message that it accepted with a reply is a
// success, no message is accepted twice in one Send, and any other message was
// not accepted, or its result says that it may have been.
func TestFlakyHosts(t *testing.T) {
	for _, tt := range []struct {
		name, extensions string
		messages         int           // of each worker
		wait             time.Duration // MaxWait
	}{
		{"DATA", "", 300, -1},
		{"BDAT", "250-CHUNKING\r\n250-BINARYMIME\r\n", 300, -1},
		{"with a limit", "", 30, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &flaky{extensions: tt.extensions, taken: make(map[string]int)}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var hosts, senders sync.WaitGroup
			hosts.Go(func() {
				for seed := uint64(1); ; seed++ {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					hosts.Go(func() { f.serve(conn, rand.New(rand.NewPCG(seed, 0))) })
				}
			})
			tr := &Transport{Hostname: "relay.example", MaxMessages: 20, MaxWait: tt.wait}
			h := netip.MustParseAddrPort(l.Addr().String())
			dst := &Destination{Name: "flaky", Hosts: HostList(Host{Name: "mx1", Addrs: []netip.AddrPort{h}}, Host{Name: "mx2", Addrs: []netip.AddrPort{h}})}
			var outcomes [5]int
			var mu sync.Mutex // guards outcomes
			for worker := range 8 {
				senders.Go(func() {
					for i := range tt.messages {
						id := fmt.Sprintf("X-ID: %d-%d", worker, i)
						m := mail("", "b@example.net", "c@example.net")
						m.Content = content.Of([]byte(id + "\r\n\r\n.dot\r\n"))
						if tt.name == "BDAT" {
							m.Options.Body = smtp.BodyBinaryMIME
						}
						for k, r := range tr.Send(t.Context(), dst, m) {
							key := id + " TO:<" + m.Recipients[k].Addr + ">"
							f.mu.Lock()
							taken := f.taken[key]
							f.mu.Unlock()
							unsure := strings.Contains(r.Reply.Message, "the host may have accepted the message")
							if r.Outcome == Success && taken != 1 || r.Outcome != Success && taken != 0 && !(unsure && taken == 1) {
								t.Errorf("%s: taken %d times, but %s %v (%v)", key, taken, r.Outcome, r.Reply, r.Err)
							}
							mu.Lock()
							outcomes[r.Outcome]++
							mu.Unlock()
						}
					}
				})
			}
			senders.Wait()
			tr.Close()
			l.Close()
			hosts.Wait()
			if outcomes[Success] == 0 || outcomes[Deferred] == 0 || outcomes[Failure] == 0 {
				t.Errorf("outcomes %v: the test did not reach all outcomes", outcomes)
			}
			t.Logf("deferred, success, failure, unreachable, busy: %v", outcomes)
		})
	}
}
