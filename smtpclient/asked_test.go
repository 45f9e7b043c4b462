package smtpclient

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// hostile is content that sends another message if a host reads it as commands.
const hostile = "RSET\r\nMAIL FROM:<ceo@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\npay\r\n.\r\n"

// The replies of the hosts to RCPT, DATA and BDAT.
const (
	yes     = "250 2.0.0 ok"
	unknown = "550 5.1.1 unknown"
)

// lineHost is a host that reads each line as a command: it reads no chunk after
// BDAT, and it reads content after DATA only if it has replied 354.
type lineHost struct {
	rcpt, data, bdat string // its replies; with several, rcpt's are separated by "|"

	mu       sync.Mutex // guards commands
	commands []string
}

func (h *lineHost) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(s string) { io.WriteString(conn, s+"\r\n") }
	say("220 mx")
	rcpts := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		h.mu.Lock()
		h.commands = append(h.commands, line)
		h.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			say("250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250 CHUNKING")
		case "MAIL", "RSET":
			rcpts = 0
			say(yes)
		case "RCPT":
			replies := strings.Split(h.rcpt, "|")
			say(replies[min(rcpts, len(replies)-1)])
			rcpts++
		case "BDAT":
			say(h.bdat)
		case "DATA":
			say(h.data)
			if strings.HasPrefix(h.data, "354") {
				for line != ".\r\n" {
					if line, err = r.ReadString('\n'); err != nil {
						return
					}
				}
				say(yes)
			}
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 5.5.2 what?")
		}
	}
}

// No host reads content as commands: not if it refuses the command before the
// content, with or without an accepted recipient, and not if its replies come
// in another order.
func TestContentIsNeverReadAsCommands(t *testing.T) {
	for _, rcpt := range []string{yes, unknown, "451 4.7.1 later", yes + "|" + unknown, unknown + "|" + yes, yes + "|354 go", "354 go|" + yes, "452 4.5.3 full|" + yes, yes + "|503 5.5.1 no"} {
		for _, data := range []string{"354 go", "502 5.5.1 no", "503 5.5.1 no", "451 4.3.0 no", "250 ok", "354 go\r\n354 go", "250 ok\r\n354 go"} {
			for _, bdat := range []string{"502 5.5.1 no", "500 no", "503 5.5.1 no", "451 4.3.0 no", "354 go"} {
				for _, body := range []smtp.BodyType{"", smtp.Body8BitMIME, smtp.BodyBinaryMIME} {
					if body != smtp.BodyBinaryMIME && bdat != "502 5.5.1 no" {
						continue // BDAT is not used
					}
					h := &lineHost{rcpt: rcpt, data: data, bdat: bdat}
					commands := sendHostile(t, h, body)
					for _, c := range commands {
						verb, _, _ := strings.Cut(c, " ")
						known := slices.Contains([]string{"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "QUIT"}, verb)
						ours := known && !strings.Contains(c, "ceo") && !strings.Contains(c, "victim")
						// The one octet, or the Received field, of a first chunk.
						chunk := body == smtp.BodyBinaryMIME && (c == "XQUIT" || c == "X" || c == "XRSET")
						if !ours && !chunk {
							t.Errorf("RCPT %q, DATA %q, BDAT %q, body %q: the host read %q", rcpt, data, bdat, body, commands)
							break
						}
					}
				}
			}
		}
	}
}

// sendHostile sends hostile content three times and returns the commands that
// the host read.
func sendHostile(t *testing.T, h *lineHost, body smtp.BodyType) []string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var hosts sync.WaitGroup
	hosts.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hosts.Go(func() { h.serve(conn) })
		}
	})
	tr := &Transport{Hostname: "relay.example", Timeouts: Timeouts{DataDone: time.Second, DataInit: time.Second, Mail: time.Second}}
	dst := &Destination{Name: "x", Hosts: HostList(Host{Name: "mx", Addrs: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}})}
	for range 3 {
		text := "X" + hostile
		if body == smtp.BodyBinaryMIME {
			text += "\x00\r\n"
		}
		m := mail(text, "b@example.net", "c@example.net")
		m.Options.Body = body
		tr.Send(t.Context(), dst, m)
	}
	tr.Close()
	l.Close()
	hosts.Wait()
	return h.commands
}

// Old versions of go-smtp are such hosts: without an accepted recipient they
// refuse BDAT and read the chunk as commands.
func TestOldGoSMTP(t *testing.T) {
	for _, version := range peers.GoSMTPVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			host := peers.GoSMTP(t, version)
			addr := netip.MustParseAddrPort(host.Addrs[0])
			sent := 0
			for _, body := range []smtp.BodyType{"", smtp.Body8BitMIME, smtp.BodyBinaryMIME} {
				for _, head := range []string{"", "X: y\r\n", "Received: from a\r\n\tby b\r\n\tfor c; date\r\n"} {
					tr := &Transport{Hostname: "relay.example"}
					defer tr.Close()
					dst := &Destination{Name: "x", Hosts: HostList(Host{Name: "next.example", Addrs: []netip.AddrPort{addr}})}
					for _, rcpts := range [][]string{{"nobody@next.example"}, {"b@next.example"}, {"nobody@next.example"}, {"nobody@next.example", "b@next.example"}} {
						m := mail(head+hostile, rcpts...)
						m.Options.Body = body
						for i, r := range tr.Send(t.Context(), dst, m) {
							if strings.HasPrefix(rcpts[i], "b@") && r.Outcome == Success {
								sent++
							} else if !strings.HasPrefix(rcpts[i], "nobody@") || r.Outcome != Failure {
								t.Errorf("body %q, %s: %s", body, rcpts[i], summary([]Result{r}))
							}
						}
					}
				}
			}
			taken := func() int { return strings.Count(host.Log(), "msg=taken from=a@example.com to=b@next.example ") }
			peers.Await(t, "all messages", func() bool { return taken() >= 3*3*2 })
			if log := host.Log(); taken() != sent || sent != 3*3*2 || strings.Contains(log, "from=ceo") {
				t.Errorf("%d messages were taken, %d by the results, want 18:\n%s", taken(), sent, log)
			}
		})
	}
}
