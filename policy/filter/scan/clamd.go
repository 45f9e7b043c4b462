package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Clamd refuses messages in which ClamAV finds something: 550 5.7.1. The
// fields must not change once it is in use.
type Clamd struct {
	// Address of clamd: "127.0.0.1:3310", or the path of a Unix socket.
	Address string
	// MaxSize is the longest message that is scanned, in bytes; clamd's
	// StreamMaxLength must not be less. Default 25 MiB, as clamd's was for
	// long. Longer messages are refused with 552 5.3.4, unless PassOversize.
	MaxSize      int64
	PassOversize bool
	// PassWhenDown lets mail pass unseen when clamd cannot be asked.
	PassWhenDown bool
	// Timeout for connecting, sending and waiting, together. Default 2 min.
	Timeout time.Duration
	// Logger hears of finds and failures; nil is silent.
	Logger *slog.Logger

	counters counters
}

// Validate says which setting is wrong.
func (c *Clamd) Validate() error { return validAddress("Clamd", c.Address) }

// Counters may be called at any time.
func (c *Clamd) Counters() Counters { return c.counters.read() }

// Agent scans at the end of data.
func (c *Clamd) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "clamd", EndOfData: func(ctx context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return c.judge(ctx, m)
	}}
}

func (c *Clamd) judge(ctx context.Context, m *smtpserver.Message) error {
	content := m.Content()
	limit := c.MaxSize
	if limit <= 0 {
		limit = 25 << 20
	}
	if content.Size() > limit {
		c.counters.oversize.Add(1)
		if c.PassOversize {
			return nil
		}
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: fmt.Sprintf("Message is longer than the %d bytes that can be scanned", limit)}
	}
	var found string
	err := converse(ctx, c.Address, timeoutOr(c.Timeout, 2*time.Minute), func(conn net.Conn) (err error) {
		found, err = instream(conn, content)
		return err
	})
	if err != nil {
		return c.counters.down(c.Logger, "clamd", m, c.PassWhenDown, err)
	}
	c.counters.scanned.Add(1)
	if found == "" {
		return nil
	}
	c.counters.found.Add(1)
	if c.Logger != nil {
		c.Logger.Info("infected", slog.String("message", m.ID), slog.String("from", m.From), slog.String("found", found))
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Message is infected with " + found}
}

// instream sends a message in clamd's INSTREAM command and returns what was
// found in it, "" for nothing.
func instream(conn net.Conn, content smtpserver.Content) (string, error) {
	w := bufio.NewWriterSize(conn, 32<<10)
	w.WriteString("zINSTREAM\x00") // an error stays with the writer until Flush
	_, err := content.WriteTo(chunks{w})
	if err == nil {
		w.Write([]byte{0, 0, 0, 0})
		err = w.Flush()
	}
	// clamd says why it does not want more and hangs up, so its word counts
	// more than the failed write.
	reply, readErr := readReply(conn, 0)
	if readErr != nil {
		return "", errors.Join(err, readErr)
	}
	verdict, ok := strings.CutPrefix(reply, "stream: ")
	switch {
	case ok && verdict == "OK":
		return "", err
	case ok && strings.HasSuffix(verdict, " FOUND"):
		return strings.TrimSuffix(verdict, " FOUND"), nil
	}
	return "", fmt.Errorf("clamd replied %q", reply)
}

// chunks writes what is written to it as chunks: four bytes of length, data.
type chunks struct{ w *bufio.Writer }

func (c chunks) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b)))
	if _, err := c.w.Write(n[:]); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}

// maxReply is the longest reply of a scanner that is read.
const maxReply = 64 << 10

// readReply reads up to the byte that ends a reply.
func readReply(r io.Reader, end byte) (string, error) {
	s, err := bufio.NewReader(io.LimitReader(r, maxReply)).ReadString(end)
	if err != nil {
		return "", fmt.Errorf("reply %q: %w", s[:min(len(s), 100)], err)
	}
	return s[:len(s)-1], nil
}
