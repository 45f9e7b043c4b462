package simulation

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A client sends messages in one session. Its habits come from the seed.
type client struct {
	w   *world
	n   int
	rnd *rand.Rand
	c   *conn
	in  *bufio.Reader
	ext string // the reply to EHLO

	stranger   bool          // it has no right to relay, unless it logs in
	login      bool          // it logs in
	pipelines  bool          // it sends commands without waiting
	chunks     int           // it uses BDAT, with so many chunks
	slow       time.Duration // it waits before each write
	lf         bool          // it ends lines with LF
	cut        int           // it disconnects after so many bytes; -1 is never
	silent     bool          // it does not disconnect at the cut, but is silent
	sent       int           // bytes
	accepted   []bool        // of the recipients
	cutByReset bool
}

// errCut ends a session at the cut.
var errCut = errors.New("the client disconnects here")

// relayAddr is the address of the relay, and submissionPort its port for clients that
// log in.
const relayAddr = "198.51.100.25"

func newClient(w *world, n int) *client {
	rnd := w.rand(fmt.Sprintf("client %d", n))
	c := &client{w: w, n: n, rnd: rnd, cut: -1}
	c.pipelines = rnd.IntN(2) == 0
	switch rnd.IntN(10) {
	case 0:
		c.slow = time.Duration(rnd.Int64N(int64(8 * time.Second)))
	case 1, 2:
		c.cut, c.silent, c.cutByReset = rnd.IntN(6000), rnd.IntN(3) == 0, rnd.IntN(2) == 0
	case 3:
		c.lf = true
	case 4, 5:
		c.chunks = 1 + rnd.IntN(4)
	}
	c.stranger = rnd.IntN(4) == 0
	c.login = c.stranger && rnd.IntN(3) == 0
	return c
}

// address is the client's address. The relay knows clients by their network.
func (c *client) address() string {
	switch {
	case c.stranger:
		return fmt.Sprintf("203.0.113.%d", 1+c.n%250)
	case c.lf && c.n%2 == 0: // may send LF
		return fmt.Sprintf("192.0.2.%d", 1+c.n%60)
	}
	return fmt.Sprintf("192.0.2.%d", 65+c.n%180)
}

// run is the session.
func (c *client) run() {
	err := c.session()
	c.w.trace.add("client %d ends: %v", c.n, err)
}

func (c *client) session() error {
	m := c.w.net.machine(c.address())
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := m.dial(ctx, relayAddr+":25")
	if err != nil {
		return err
	}
	c.c = nc.(*conn)
	defer c.c.Close()
	c.in = bufio.NewReader(c.c)
	if _, err := c.reply(); err != nil {
		return err
	}
	if c.ext, err = c.ask("EHLO client%d.example", c.n); err != nil {
		return err
	}
	if c.login && strings.Contains(c.ext, "AUTH PLAIN") {
		if _, err := c.ask("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00user\x00secret"))); err != nil {
			return err
		}
	}
	for range 1 + c.rnd.IntN(3) {
		if err := c.send(c.letter()); err != nil {
			return err
		}
	}
	_, err = c.ask("QUIT")
	return err
}

// letter makes a message.
func (c *client) letter() *letter {
	l := c.w.oracle.letter()
	l.stranger = c.stranger && !c.login
	if c.rnd.IntN(8) > 0 {
		l.from = fmt.Sprintf("m%d@send%d.example", l.n, c.rnd.IntN(senderDomains))
	}
	count := 1 + c.rnd.IntN(4)
	if c.rnd.IntN(25) == 0 {
		count = 40 + c.rnd.IntN(200)
	}
	fates := []string{"ok", "ok", "ok", "ok", "later", "no"}
	notify := []string{"", "", "", "", "NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE,DELAY"}
	for i := range count {
		domain := fmt.Sprintf("d%d.example", c.rnd.IntN(domains))
		switch c.rnd.IntN(40) {
		case 0:
			domain = noDomain
		case 1:
			domain = nullDomain
		case 2, 3, 4, 5:
			domain = boxDomain
		case 6:
			domain = etrnDomain
		case 7:
			domain = atrnDomain
		}
		r := &rcpt{letter: l, addr: fmt.Sprintf("m%d.r%d.%s@%s", l.n, i, fates[c.rnd.IntN(len(fates))], domain)}
		if strings.Contains(c.ext, "DSN") {
			r.notify = notify[c.rnd.IntN(len(notify))]
		}
		l.rcpts = append(l.rcpts, r)
	}
	l.text = c.text(l)
	return l
}

// text returns a header and a body.
func (c *client) text(l *letter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <%s>\r\nSubject: letter %d\r\nMessage-ID: <%d@client.example>\r\nX-Sim: %d\r\n\r\n", or(l.from, "nobody@example.com"), l.n, l.n, l.n)
	if l.eightBit = strings.Contains(c.ext, "8BITMIME") && c.rnd.IntN(6) == 0; l.eightBit {
		b.WriteString("Gr\xfc\xdfe, \xe2\x82\xac\r\n")
	}
	lines := c.rnd.IntN(20)
	if c.rnd.IntN(10) == 0 {
		lines = c.rnd.IntN(1500)
	}
	for range lines {
		switch c.rnd.IntN(12) {
		case 0:
			b.WriteString(".\r\n")
		case 1:
			b.WriteString("..dots\r\n")
		case 2:
			b.WriteString("\r\n")
		default:
			b.WriteString(strings.Repeat("x", c.rnd.IntN(70)) + "\r\n")
		}
	}
	return b.String()
}

// send sends one message. It tells the oracle what the relay replied.
func (c *client) send(l *letter) error {
	c.accepted = make([]bool, len(l.rcpts))
	go354, err := c.envelope(l)
	if err != nil || !go354 {
		return err
	}
	for i, r := range l.rcpts {
		r.accepted = c.accepted[i]
	}
	var reply string
	if c.usesChunks() {
		reply, err = c.bdat(l)
	} else {
		err = c.write(strings.ReplaceAll("\r\n"+l.text, "\r\n.", "\r\n..")[2:] + ".\r\n")
		if err == nil {
			l.set(unknown)
			reply, err = c.reply()
		}
	}
	if reply != "" {
		c.w.trace.add("client %d: letter %d to %d gets %.3s", c.n, l.n, len(l.rcpts), reply)
		l.set(refusedState)
		if reply[0] == '2' {
			l.set(acknowledged)
		}
		if reply[0] != '2' {
			err = nil // the reply is an answer
		}
	}
	return err
}

func (c *client) usesChunks() bool { return c.chunks > 0 && strings.Contains(c.ext, "CHUNKING") }

// envelope sends MAIL, RCPT and, without BDAT, DATA. It reports whether the text may
// follow.
func (c *client) envelope(l *letter) (begin bool, err error) {
	lines := []string{"MAIL FROM:<" + l.from + ">"}
	if l.eightBit {
		lines[0] += " BODY=8BITMIME"
	}
	for _, r := range l.rcpts {
		line := "RCPT TO:<" + r.addr + ">"
		if r.notify != "" {
			line += " NOTIFY=" + r.notify
		}
		lines = append(lines, line)
	}
	if !c.usesChunks() {
		lines = append(lines, "DATA")
	}
	replies := make([]string, len(lines))
	if c.pipelines {
		if err := c.write(strings.Join(lines, "\r\n") + "\r\n"); err != nil {
			return false, err
		}
		for i := range lines {
			if replies[i], err = c.reply(); replies[i] == "" {
				return false, err
			}
		}
	} else {
		for i, line := range lines {
			if replies[i], err = c.ask("%s", line); replies[i] == "" {
				return false, err
			}
		}
	}
	any := false
	for i := range l.rcpts {
		c.accepted[i] = replies[0][0] == '2' && replies[1+i][0] == '2'
		any = any || c.accepted[i]
	}
	if begin = any; !c.usesChunks() {
		begin = replies[len(replies)-1][0] == '3'
	}
	if !begin {
		_, err = c.ask("RSET")
		return false, err
	}
	return true, nil
}

// bdat sends the text in chunks, and returns the last reply.
func (c *client) bdat(l *letter) (reply string, err error) {
	rest := l.text
	for i := range c.chunks {
		n, last := len(rest)/(c.chunks-i), ""
		if i == c.chunks-1 {
			last = " LAST"
		}
		if err = c.write(fmt.Sprintf("BDAT %d%s\r\n", n, last) + rest[:n]); err != nil {
			return "", err
		}
		rest = rest[n:]
		if last != "" {
			l.set(unknown)
		}
		if reply, err = c.reply(); err != nil {
			return reply, err
		}
	}
	return reply, nil
}

// ask sends a command and returns its reply.
func (c *client) ask(format string, args ...any) (string, error) {
	if err := c.write(fmt.Sprintf(format, args...) + "\r\n"); err != nil {
		return "", err
	}
	return c.reply()
}

// reply reads a reply. A 4xx or 5xx is also an error.
func (c *client) reply() (string, error) {
	c.c.SetReadDeadline(time.Now().Add(12 * time.Minute))
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		all.WriteString(line)
		if len(line) < 4 || line[3] == '-' {
			continue
		}
		if line[0] > '3' {
			return all.String(), fmt.Errorf("the relay says %.9s", line)
		}
		return all.String(), nil
	}
}

// write sends text in the client's manner. It returns nil only if all was sent.
func (c *client) write(text string) error {
	if c.lf {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	for len(text) > 0 {
		n := len(text)
		if c.slow > 0 {
			time.Sleep(time.Duration(c.rnd.Int64N(int64(c.slow))))
			n = min(n, 1+c.rnd.IntN(2000))
		}
		if c.cut >= 0 && c.sent+n > c.cut {
			return c.leave(text[:c.cut-c.sent])
		}
		c.c.SetWriteDeadline(time.Now().Add(5 * time.Minute))
		if _, err := c.c.Write([]byte(text[:n])); err != nil {
			return err
		}
		c.sent, text = c.sent+n, text[n:]
	}
	return nil
}

// leave sends the last bytes and disconnects, or is silent until the relay
// disconnects.
func (c *client) leave(text string) error {
	c.c.Write([]byte(text))
	switch {
	case c.silent:
		c.c.SetReadDeadline(time.Now().Add(time.Hour))
		for {
			if _, err := c.in.ReadByte(); err != nil {
				break
			}
		}
	case c.cutByReset:
		c.c.reset()
	}
	return errCut
}
