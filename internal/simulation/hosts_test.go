package simulation

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A host receives mail. It behaves well or badly for some minutes each.
type host struct {
	w       *world
	name    string
	machine *machine
	lmtp    bool // it replies to the end of data for each recipient
}

// mood is how a host behaves.
type mood int

const (
	good     mood = iota
	flaky         // each step may fail
	refusing      // no connection is possible
	silent        // no packet is answered
	lying         // it accepts messages and does not say so
)

// moodTime is how long a host stays in a mood.
const moodTime = 4 * time.Minute

func (h *host) mood() mood {
	if h.w.healed.Load() {
		return good
	}
	rnd := h.w.rand(fmt.Sprintf("mood %s %d", h.name, time.Since(h.w.begun)/moodTime))
	switch n := rnd.IntN(100); {
	case n < 45:
		return good
	case n < 75:
		return flaky
	case n < 83:
		return refusing
	case n < 90:
		return silent
	}
	return lying
}

func (h *host) start() {
	l := h.machine.listen(25)
	l.connect = func(int) dialing {
		switch h.mood() {
		case refusing:
			return refused
		case silent:
			return ignored
		}
		return accepted
	}
	h.w.hostsDone.Add(1)
	go func() {
		defer h.w.hostsDone.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.w.hostsDone.Add(1)
			go func() {
				defer h.w.hostsDone.Done()
				h.serve(c.(*conn))
			}()
		}
	}()
	h.w.atEnd(func() { l.Close(); h.machine.die(false) })
}

// A receipt is one session of a host.
type receipt struct {
	*host
	c      *conn
	in     *bufio.Reader
	rnd    *rand.Rand
	ext    string // the extensions, by their first letters
	from   string
	rcpts  []string
	mailed bool
	bad    bool            // the last step failed
	most   int             // recipients of a transaction
	talk   []string        // the last commands and replies
	data   strings.Builder // of BDAT
}

// errGone ends a session.
var errGone = errors.New("the host has ended the session")

func (h *host) serve(c *conn) {
	h.serveOn(c, bufio.NewReader(c))
}

// serveOn serves a connection. in reads from it.
func (h *host) serveOn(c *conn, in *bufio.Reader) {
	defer c.Close()
	s := &receipt{host: h, c: c, in: in, rnd: h.w.rand(fmt.Sprintf("session %s %d", h.name, c.number))}
	if s.most = 1000; s.rnd.IntN(4) == 0 {
		s.most = 1 + s.rnd.IntN(5)
	}
	for _, e := range "pcd8s" {
		if s.rnd.IntN(3) > 0 {
			s.ext += string(e)
		}
	}
	if s.step("greeting", "220 "+h.name+" ESMTP") != nil {
		return
	}
	for {
		c.SetReadDeadline(time.Now().Add(5 * time.Minute))
		line, err := s.in.ReadString('\n')
		if err != nil || s.command(strings.TrimSuffix(line, "\r\n")) != nil {
			return
		}
	}
}

func (s *receipt) command(line string) error {
	s.note("C: " + line)
	verb, arg, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO", "LHLO":
		if s.lmtp != (strings.ToUpper(verb) == "LHLO") {
			return s.say("500 5.5.1 Not here")
		}
		return s.step("EHLO", s.hello())
	case "MAIL":
		s.from, s.rcpts = path(arg), nil
		s.data.Reset()
		err := s.step("MAIL", "250 2.1.0 Ok")
		s.mailed = !s.bad
		return err
	case "RCPT":
		return s.recipient(path(arg))
	case "DATA":
		if len(s.rcpts) == 0 {
			return s.say("503 5.5.1 No recipients")
		}
		if err := s.step("DATA", "354 Go on"); err != nil || s.bad {
			return err
		}
		text, err := s.content()
		if err != nil {
			return err
		}
		return s.received(text)
	case "BDAT":
		return s.chunk(arg)
	case "RSET":
		s.mailed, s.rcpts = false, nil
		s.data.Reset()
		return s.step("RSET", "250 2.0.0 Ok")
	case "QUIT":
		s.say("221 2.0.0 Bye")
		return errGone
	}
	return s.say("250 2.0.0 Ok")
}

func (s *receipt) hello() string {
	reply := "250-" + s.name + "\r\n"
	for i, e := range []string{"PIPELINING", "CHUNKING", "DSN", "8BITMIME", "SIZE 50000000"} {
		if strings.ContainsRune(s.ext, rune("pcd8s"[i])) {
			reply += "250-" + e + "\r\n"
		}
	}
	return reply + "250 ENHANCEDSTATUSCODES"
}

// recipient replies to RCPT. Addresses say what the host thinks of them.
func (s *receipt) recipient(addr string) error {
	switch {
	case !s.mailed:
		return s.say("503 5.5.1 No MAIL")
	case len(s.rcpts) == s.most:
		return s.say("452 4.5.3 Too many recipients")
	case strings.Contains(addr, ".no@"):
		return s.say("550 5.1.1 No such user")
	case strings.Contains(addr, ".later@") && s.rnd.IntN(2) == 0 && !s.w.healed.Load():
		return s.say("450 4.2.1 Mailbox busy")
	}
	err := s.step("RCPT", "250 2.1.5 Ok")
	if err == nil && !s.bad {
		s.rcpts = append(s.rcpts, addr)
	}
	return err
}

// content reads the text after DATA.
func (s *receipt) content() (string, error) {
	var text strings.Builder
	for {
		s.c.SetReadDeadline(time.Now().Add(5 * time.Minute))
		line, err := s.in.ReadString('\n')
		switch {
		case err != nil:
			return "", err
		case line == ".\r\n":
			return text.String(), nil
		case s.mood() == flaky && s.rnd.IntN(500) == 0:
			s.w.trace.add("%s: closes in the text", s.name)
			return "", errGone
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

// chunk reads a chunk of BDAT.
func (s *receipt) chunk(arg string) error {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(size)
	if err != nil {
		return errGone
	}
	s.c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.CopyN(&s.data, s.in, int64(n)); err != nil {
		return err
	}
	if len(s.rcpts) == 0 {
		return s.say("503 5.5.1 No recipients")
	}
	if !strings.EqualFold(last, "LAST") {
		err := s.step("BDAT", "250 2.0.0 Ok")
		if s.bad {
			s.rcpts = nil
		}
		return err
	}
	return s.received(s.data.String())
}

// received replies to the end of a message.
func (s *receipt) received(text string) error {
	from, rcpts := s.from, s.rcpts
	s.mailed, s.rcpts, s.data = false, nil, strings.Builder{}
	sent := time.Now()
	if !s.lmtp {
		return s.decide(from, rcpts, text, sent)
	}
	for i := range rcpts {
		if s.rnd.IntN(5) == 0 {
			time.Sleep(time.Duration(s.rnd.Int64N(int64(3 * time.Minute))))
		}
		if err := s.decide(from, rcpts[i:i+1], text, sent); err != nil {
			return err
		}
	}
	return nil
}

// decide accepts or refuses a message for some recipients, and replies.
func (s *receipt) decide(from string, rcpts []string, text string, sent time.Time) error {
	accept := func() *arrival { return s.w.oracle.arrived(s.name, from, rcpts, text, sent, s.talk) }
	switch mood := s.mood(); {
	case mood == lying || mood == flaky && s.rnd.IntN(8) == 0:
		a := accept()
		switch s.rnd.IntN(5) {
		case 0:
			s.say("451 4.3.0 Try again")
			a.lie = "said 451"
		case 1:
			s.say("554 5.3.0 Failed")
			a.lie = "said 554"
		case 2:
			s.c.reset()
		case 3:
			time.Sleep(time.Duration(s.rnd.Int64N(int64(15 * time.Minute))))
			return s.c250(a)
		}
		s.w.trace.add("%s: accepts, and %s", s.name, or(a.lie, "closes"))
		return errGone
	case mood == flaky && s.rnd.IntN(4) == 0:
		return s.fail("end of data")
	}
	return s.c250(accept())
}

// c250 accepts a message.
func (s *receipt) c250(a *arrival) error {
	_, err := s.c.write([]byte("250 2.0.0 Accepted\r\n"), a.confirm)
	return err
}

// step gives a reply, unless the host fails at this step.
func (s *receipt) step(name, reply string) error {
	s.bad = false
	if s.mood() == flaky && s.rnd.IntN(10) == 0 {
		s.bad = true
		return s.fail(name)
	}
	if s.rnd.IntN(10) == 0 {
		time.Sleep(time.Duration(s.rnd.Int64N(int64(20 * time.Second))))
	}
	return s.say(reply)
}

// fail lets a step fail in one of many ways.
func (s *receipt) fail(step string) error {
	ways := []string{"450 4.3.0 Not now", "550 5.7.1 Not from you", "421 4.3.2 Closing", "hello?", "250", "close", "reset", "hang", "99999 what", "45"}
	way := ways[s.rnd.IntN(len(ways))]
	if way == "250" { // not where it means something
		way = "250-"
	}
	if s.lmtp && step == "end of data" && way == "250-" {
		way = "hello?" // with the next reply it would mean that both recipients have it
	}
	s.w.trace.add("%s: %s at %s", s.name, way, step)
	switch way {
	case "close":
		return errGone
	case "reset":
		s.c.reset()
		return errGone
	case "hang":
		s.c.SetReadDeadline(time.Now().Add(20 * time.Minute))
		for { // until the client gives up
			if _, err := s.in.ReadByte(); err != nil {
				return errGone
			}
		}
	case "421 4.3.2 Closing":
		s.say(way)
		return errGone
	}
	return s.say(way)
}

// note keeps a line of the conversation, for the messages of the oracle.
func (s *receipt) note(line string) {
	if len(s.talk) == 40 {
		s.talk = s.talk[1:]
	}
	s.talk = append(s.talk, line)
}

func (s *receipt) say(reply string) error {
	s.note("S: " + reply)
	_, err := s.c.Write([]byte(reply + "\r\n"))
	return err
}

// path returns the address in the argument of MAIL or RCPT.
func path(arg string) string {
	_, rest, _ := strings.Cut(arg, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
