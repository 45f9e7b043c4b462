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

// Spamd sends messages to SpamAssassin, which gives them a score. It converts
// the score to a spam confidence level (content.Rate), and adds an
// X-Spam-Status field with the score and the names of the rules that matched:
// at most 500 names of at most 100 bytes. It removes X-Spam-Status fields that
// the message already has. The fields must not change after the first use.
type Spamd struct {
	// Address is the address of spamd: "127.0.0.1:783", or the path of a Unix
	// socket, which begins with "/".
	Address string
	// User is the user whose preferences spamd applies. Optional.
	User string
	// Level converts a score to a spam confidence level. spam is the lowest
	// score of a message that spamd calls spam. Default content.FromScore.
	Level func(score, spam float64) int
	// MaxSize is the size of the longest message that is scanned, in bytes.
	// Longer messages pass and get no level. Default 500 KiB, as in spamc.
	MaxSize int64
	// PassWhenDown lets messages pass unscanned when spamd fails. Otherwise
	// the client gets a 451 4.7.1.
	PassWhenDown bool
	// Timeout is the limit for a whole scan: connecting, sending and waiting
	// for the reply. Default 2 minutes.
	Timeout time.Duration
	// Logger logs failures. Default: that of the gateway.Gateway. If there is
	// none, nothing is logged.
	Logger *slog.Logger

	counters counters
}

// Validate returns an error that names the first setting that is wrong.
func (c *Spamd) Validate() error {
	if strings.ContainsAny(c.User, "\r\n") {
		return errors.New("scan: Spamd.User contains a line break")
	}
	return validAddress("Spamd", c.Address)
}

// Counters returns the counters. It may be called at any time.
func (c *Spamd) Counters() Counters { return c.counters.read() }

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (c *Spamd) Inherit(d smtpserver.Defaults) { d.Fill(nil, &c.Logger) }

// Agent returns an agent that scans messages at the end of data.
func (c *Spamd) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "spamd", Inherit: c.Inherit, EndOfData: c.check}
}

const statusField = "X-Spam-Status"

func (c *Spamd) check(ctx context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
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

// A spamVerdict is the reply of spamd.
type spamVerdict struct {
	spam            bool
	score, required float64
	symbols         []string
}

// symbols asks for the score and the names of the rules that matched (SPAMC
// protocol 1.5, SYMBOLS).
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
	return v, errors.Join(err, readErr) // a verdict about an incomplete message does not count
}

// readVerdict reads the reply of spamd:
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

// maxSymbols is the largest number of rule names that are written into the
// header, and maxSymbol the largest length of one, in bytes.
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

// word replaces characters that are not allowed in the name of a rule.
func word(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_' || r == '-' {
		return r
	}
	return '_'
}
