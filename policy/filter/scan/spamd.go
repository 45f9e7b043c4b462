package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Spamd has SpamAssassin rate messages: its score becomes a spam confidence
// level (content.Rate), and what it found is written into an X-Spam-Status
// field; such fields that a message brings are removed. The fields must not
// change once it is in use.
type Spamd struct {
	// Address of spamd: "127.0.0.1:783", or the path of a Unix socket.
	Address string
	// User whose preferences spamd uses; "" for none.
	User string
	// Level makes a spam confidence level of a score and the score that
	// counts as spam. Default content.FromScore.
	Level func(score, spam float64) int
	// MaxSize is the longest message that is scanned, in bytes. Default 500
	// KiB, as spamc has it. Longer messages are not rated and pass.
	MaxSize int64
	// PassWhenDown lets mail pass unseen when spamd cannot be asked.
	PassWhenDown bool
	// Timeout for connecting, sending and waiting, together. Default 2 min.
	Timeout time.Duration
	// Logger hears of failures; nil is silent.
	Logger *slog.Logger

	counters counters
}

// Validate says which setting is wrong.
func (c *Spamd) Validate() error {
	if strings.ContainsAny(c.User, "\r\n") {
		return errors.New("scan: Spamd.User has a line break")
	}
	return validAddress("Spamd", c.Address)
}

// Counters may be called at any time.
func (c *Spamd) Counters() Counters { return c.counters.read() }

// Agent scans at the end of data.
func (c *Spamd) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "spamd", EndOfData: c.judge}
}

const statusField = "X-Spam-Status"

func (c *Spamd) judge(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
	m.Header.Delete(func(f smtpserver.Field) bool { return f.Is(statusField) })
	body := m.Content()
	limit := c.MaxSize
	if limit <= 0 {
		limit = 500 << 10
	}
	if body.Size() > limit {
		c.counters.oversize.Add(1)
		return nil
	}
	var v spamVerdict
	err := converse(ctx, c.Address, timeoutOr(c.Timeout, 2*time.Minute), func(conn net.Conn) (err error) {
		v, err = c.symbols(conn, body)
		return err
	})
	if err != nil {
		return c.counters.down(c.Logger, "spamd", m, c.PassWhenDown, err)
	}
	c.counters.scanned.Add(1)
	word := "No"
	if v.spam {
		word = "Yes"
		c.counters.found.Add(1)
	}
	level := c.Level
	if level == nil {
		level = content.FromScore
	}
	content.Rate(s, level(v.score, v.required), "spamd")
	return m.Header.Append(envelope.Fold(statusField, fmt.Sprintf("%s, score=%.1f required=%.1f tests=%s", word, v.score, v.required, strings.Join(v.symbols, ", "))))
}

// spamVerdict is spamd's.
type spamVerdict struct {
	spam            bool
	score, required float64
	symbols         []string
}

// symbols asks for score and names of rules (SPAMC protocol 1.5, SYMBOLS).
func (c *Spamd) symbols(conn net.Conn, body smtpserver.Content) (spamVerdict, error) {
	w := bufio.NewWriter(conn)
	fmt.Fprintf(w, "SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n", body.Size())
	if c.User != "" {
		fmt.Fprintf(w, "User: %s\r\n", c.User)
	}
	w.WriteString("\r\n")
	_, err := body.WriteTo(w)
	if err == nil {
		err = w.Flush()
	}
	v, readErr := readVerdict(conn)
	return v, errors.Join(err, readErr) // a verdict on a part of the message is none
}

// readVerdict reads spamd's answer:
//
//	SPAMD/1.1 0 EX_OK
//	Content-length: 20
//	Spam: True ; 1000.0 / 5.0
//
//	GTUBE,NO_RECEIVED
func readVerdict(r io.Reader) (v spamVerdict, err error) {
	t := textproto.NewReader(bufio.NewReader(io.LimitReader(r, maxReply)))
	line, err := t.ReadLine()
	if err != nil {
		return v, err
	}
	words := strings.Fields(line)
	if len(words) < 3 || !strings.HasPrefix(words[0], "SPAMD/") || words[1] != "0" {
		return v, fmt.Errorf("spamd replied %q", line)
	}
	h, err := t.ReadMIMEHeader()
	if err != nil {
		return v, err
	}
	if v.spam, v.score, v.required, err = parseSpam(h.Get("Spam")); err != nil {
		return v, err
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil || n < 0 || n > maxReply {
		return v, fmt.Errorf("spamd's Content-length is %q", h.Get("Content-Length"))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(t.R, b); err != nil {
		return v, err
	}
	for _, name := range strings.FieldsFunc(string(b), func(r rune) bool { return r == ',' || r <= ' ' }) {
		if len(v.symbols) == maxSymbols {
			break
		}
		v.symbols = append(v.symbols, strings.Map(word, name[:min(len(name), maxSymbol)]))
	}
	return v, nil
}

// maxSymbols and maxSymbol bound the names of rules that are written into the
// header, and each of them.
const maxSymbols, maxSymbol = 500, 100

// parseSpam reads "True ; 15.3 / 5.0".
func parseSpam(s string) (spam bool, score, required float64, err error) {
	word, rest, _ := strings.Cut(s, ";")
	a, b, _ := strings.Cut(rest, "/")
	spam, err = strconv.ParseBool(strings.TrimSpace(word))
	if err == nil {
		score, err = strconv.ParseFloat(strings.TrimSpace(a), 64)
	}
	if err == nil {
		required, err = strconv.ParseFloat(strings.TrimSpace(b), 64)
	}
	if err != nil || math.IsNaN(score+required) || math.IsInf(score+required, 0) {
		return false, 0, 0, fmt.Errorf("spamd's verdict is %q", s)
	}
	return spam, score, required, nil
}

// word keeps what may stand in the name of a rule.
func word(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_' || r == '-' {
		return r
	}
	return '_'
}
