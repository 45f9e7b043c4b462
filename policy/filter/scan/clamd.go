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

// If ClamAV reports that a message is infected, Clamd refuses the message with
// 550 5.7.1. The fields must not change after the first use.
type Clamd struct {
	// Address is the address of clamd: "127.0.0.1:3310", or the path of a Unix
	// socket, which begins with "/".
	Address string
	// MaxSize is the size of the longest message that is scanned, in bytes.
	// The StreamMaxLength of clamd must be at least as large. Default 25 MiB,
	// the default of older versions of clamd.
	MaxSize int64
	// PassOversize lets messages that are longer than MaxSize pass. Otherwise
	// they are refused with 552 5.3.4.
	PassOversize bool
	// PassWhenDown lets messages pass unscanned when clamd fails. Otherwise
	// the client gets a 451 4.7.1.
	PassWhenDown bool
	// Timeout is the limit for a whole scan: connecting, sending and waiting
	// for the reply. Default 2 minutes.
	Timeout time.Duration
	// Logger logs infected messages and failures. Default: that of the
	// gateway.Gateway. If there is none, nothing is logged.
	Logger *slog.Logger

	counters counters
}

// Validate returns an error if Address is missing or invalid.
func (c *Clamd) Validate() error { return validAddress("Clamd", c.Address) }

// Counters returns the counters. It may be called at any time.
func (c *Clamd) Counters() Counters { return c.counters.read() }

// Inherit sets Logger if it is not set. The server calls it: see
// smtpserver.Agent.Inherit.
func (c *Clamd) Inherit(d smtpserver.Defaults) { d.Fill(nil, &c.Logger) }

// Agent returns an agent that scans messages at the end of data.
func (c *Clamd) Agent() smtpserver.Agent {
	return smtpserver.Agent{Name: "clamd", Inherit: c.Inherit, EndOfData: func(ctx context.Context, _ *smtpserver.Session, m *smtpserver.Message) error {
		return c.check(ctx, m)
	}}
}

func (c *Clamd) check(ctx context.Context, m *smtpserver.Message) error {
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
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: fmt.Sprintf("Message is too large to be scanned: the limit is %d bytes", limit)}
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
		c.Logger.Info("infected message refused", slog.String("message", m.ID), slog.String("from", m.From), slog.String("found", found))
	}
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Message is infected with " + found}
}

// instream sends a message with clamd's INSTREAM command. It returns the name of
// the malware that clamd found, or "".
func instream(conn net.Conn, content smtpserver.Content) (string, error) {
	w := bufio.NewWriterSize(conn, 32<<10)
	w.WriteString("zINSTREAM\x00") // Flush returns the error
	_, err := content.WriteTo(chunks{w})
	if err == nil {
		w.Write([]byte{0, 0, 0, 0})
		err = w.Flush()
	}
	// clamd may reply and close the connection before it has read everything.
	// Its reply then matters more than the failed write.
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

// chunks writes the data of each Write as a chunk: a length of four bytes, and
// the data.
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

// maxReply is the limit for the reply of a scanner, in bytes.
const maxReply = 64 << 10

// readReply reads a reply that ends with the byte end.
func readReply(r io.Reader, end byte) (string, error) {
	s, err := bufio.NewReader(io.LimitReader(r, maxReply)).ReadString(end)
	if err != nil {
		return "", fmt.Errorf("reply %q: %w", s[:min(len(s), 100)], err)
	}
	return s[:len(s)-1], nil
}
