package scan

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// Counters count messages since the start of the program.
type Counters struct {
	Scanned  int64 // messages that the scanner has checked
	Found    int64 // scanned messages that were spam, infected, or not accepted
	Failed   int64 // messages that could not be checked because the scanner failed
	Passed   int64 // failed messages that passed unscanned because of PassWhenDown
	Oversize int64 // messages longer than MaxSize
}

type counters struct{ scanned, found, failed, passed, oversize atomic.Int64 }

func (c *counters) read() Counters {
	return Counters{c.scanned.Load(), c.found.Load(), c.failed.Load(), c.passed.Load(), c.oversize.Load()}
}

var errDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "The message cannot be scanned now, try again later"}

// down counts and logs a scanner failure, and returns the reply to the client:
// nil if pass is set.
func (c *counters) down(log *slog.Logger, scanner string, m *smtpserver.Message, pass bool, err error) error {
	c.failed.Add(1)
	if log != nil {
		log.Warn("scanner failed", slog.String("scanner", scanner), slog.String("message", m.ID), slog.Any("error", err), slog.Bool("passing", pass))
	}
	if pass {
		c.passed.Add(1)
		return nil
	}
	return errDown
}

// converse connects and runs f. The connection has a deadline, which expires
// early when ctx ends.
func converse(ctx context.Context, address string, timeout time.Duration, f func(net.Conn) error) error {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return f(conn)
}

func validAddress(what, address string) error {
	if address == "" {
		return fmt.Errorf("scan: %s.Address is not set", what)
	}
	if strings.HasPrefix(address, "/") {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("scan: %s.Address: %w", what, err)
	}
	return nil
}

func timeoutOr(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
