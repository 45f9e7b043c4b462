package smtpserver

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// The state machine of a session. The protocol has five states between
// commands (RFC 5321, 4.1.4). The table below lists the states in which each
// command is allowed.
//
//	            EHLO            MAIL           RCPT (accepted)
//	connected ───────▶ ready ─────────▶ mail ─────────▶ rcpt ◀─╮ RCPT
//	                     ▲                               │  ╰──╯
//	                     ├──────── DATA, BDAT LAST ──────┤
//	                     │                               │ BDAT
//	                     ╰──── BDAT LAST ──── chunks ◀───╯ ◀─╮ BDAT
//	                                             ╰───────────╯
//
// RSET, EHLO, HELO and a refused chunk change every state back to ready.
type state uint8

const (
	connected state = 1 << iota // the banner was sent
	ready                       // after HELO or EHLO; no transaction
	mail                        // MAIL was accepted
	rcpt                        // at least one RCPT was accepted
	chunks                      // at least one BDAT chunk was accepted

	anyState = connected | ready | mail | rcpt | chunks

	// refusedAtConnect: the server sent 554 instead of the banner. Only QUIT is
	// allowed (RFC 5321, 3.1).
	refusedAtConnect state = 1 << 7
)

// A command is an SMTP command that the server implements.
type command struct {
	states state // in which it is allowed
	// open: it is allowed before STARTTLS with TLSRequired (RFC 3207, 4).
	open bool
	// follows: a pipelining client sends it before the reply to MAIL.
	follows bool
	run     func(s *Session, arg string) error
}

// commands contains the commands that the server implements. Agents answer all
// others.
var commands = map[string]command{
	"EHLO":     {anyState, true, false, (*Session).cmdEHLO},
	"HELO":     {anyState, true, false, (*Session).cmdHELO},
	"LHLO":     {anyState, true, false, (*Session).cmdLHLO},
	"STARTTLS": {connected | ready, true, false, (*Session).cmdSTARTTLS},
	"AUTH":     {ready, false, false, (*Session).cmdAUTH},
	"MAIL":     {ready, false, false, (*Session).cmdMAIL},
	"RCPT":     {mail | rcpt, false, true, (*Session).cmdRCPT},
	"DATA":     {rcpt, false, true, (*Session).cmdDATA},
	"BDAT":     {anyState, true, true, (*Session).cmdBDAT}, // the chunk must be read in any case
	"RSET":     {anyState, false, false, (*Session).cmdRSET},
	"NOOP":     {anyState, true, false, (*Session).cmdNOOP},
	"QUIT":     {anyState | refusedAtConnect, true, false, (*Session).cmdQUIT},
	"VRFY":     {anyState, false, false, (*Session).cmdVRFY},
	"EXPN":     {anyState, false, false, (*Session).cmdEXPN},
	"HELP":     {anyState, true, false, (*Session).cmdHELP},
	"XCLIENT":  {connected | ready, false, false, (*Session).cmdXCLIENT},
}

// Reasons for the end of a session.
var (
	errQuit    = errors.New("QUIT")
	errClosing = errors.New("closed by the server")
	errTaken   = errors.New("connection taken over by an agent")
)

// loop reads and runs commands until the session ends.
func (s *Session) loop() error {
	for {
		line, err := s.readCommand()
		if err == nil {
			before := s.stage()
			if err = s.run(line); s.stage() != before {
				s.credit += commandCredit
			}
		}
		if err == nil && len(s.out) > maxOutput {
			err = s.flush()
		}
		if err != nil {
			return err
		}
	}
}

// readCommand waits for the next command line.
func (s *Session) readCommand() ([]byte, error) {
	if s.ending.Load() {
		return nil, s.byeEnded()
	}
	if s.srv.closing.Load() {
		return nil, s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	}
	if s.timeLeft() <= 0 {
		return nil, s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Session took too long")
	}
	line, err := s.readLine(s.lim.CommandLine, s.lim.AuthLine)
	return line, s.waitEnded(err)
}

// waitEnded replies to the client if err, the result of a wait, is a timeout.
func (s *Session) waitEnded(err error) error {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case s.givenUp():
		return s.endShort()
	case s.ending.Load():
		return s.byeEnded()
	case s.srv.closing.Load():
		return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	case s.tooSlow:
		return s.endSlow()
	case s.timeLeft() <= 0:
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Session took too long")
	}
	return s.bye(421, smtp.EnhancedCode{4, 4, 2}, "Timeout: no input received")
}

// timeLeft returns the time that remains for the session (Limits.SessionTimeout).
func (s *Session) timeLeft() time.Duration { return s.lim.SessionTimeout - time.Since(s.started) }

// run calls the function for a command line. If an agent or the Handler panics,
// the session ends, but not the process.
func (s *Session) run(line []byte) (err error) {
	defer s.recovered(&err)
	verb, arg, ok := splitCommand(line)
	s.traceCommand(verb, line, arg)
	if !ok && len(line) == len(lineTooLong) && &line[0] == &lineTooLong[0] {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Line is too long") // RFC 5321, 4.5.3.1.10
	}
	if !ok {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Command line has a control character or a bare LF")
	}
	cmd, known := commands[string(verb)]
	s.mailRefused = s.mailRefused && cmd.follows
	switch {
	case s.state == refusedAtConnect && string(verb) != "QUIT":
		return s.badSequence(string(verb))
	case s.mustStartTLS() && !cmd.open:
		return s.fail(refusal(530, 5, 7, 0, "Must issue a STARTTLS command first"))
	case !known:
		return s.otherCommand(string(verb), arg)
	case s.state&cmd.states == 0:
		return s.badSequence(string(verb))
	}
	return cmd.run(s, arg)
}

// guard calls f and converts a panic to an error, as run does.
func (s *Session) guard(f func() error) (err error) {
	defer s.recovered(&err)
	return f()
}

func (s *Session) recovered(err *error) {
	if p := recover(); p != nil {
		s.srv.counters.panics.Add(1)
		s.log(slog.LevelError, "panic", slog.String("agent", s.entry.Waiting()), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		if s.entry.Waiting() == handlerName && s.msg != nil {
			s.msg, s.handled = nil, true // the Handler may own it now
		}
		*err = s.bye(421, smtp.EnhancedCode{4, 3, 0}, "Internal error")
	}
}

// badSequence replies to a command that is not allowed in the current state.
func (s *Session) badSequence(verb string) error {
	text := "Bad sequence of commands"
	switch {
	case s.state == refusedAtConnect:
		text = "Connection refused: only QUIT is allowed"
	case s.mailRefused && verb != "MAIL":
		return s.followError(503, smtp.EnhancedCode{5, 5, 1}, "MAIL was refused")
	case s.state == connected:
		text = "Say EHLO or HELO first"
		if verb == "MAIL" {
			s.noteRefusedMail(s.errors)
		}
	case s.state == chunks:
		text = "Only BDAT or RSET may follow BDAT without LAST"
	case verb == "MAIL":
		text = "A transaction is already open"
	case verb == "RCPT":
		text = "Need MAIL before RCPT"
	case verb == "DATA" && s.refusedTo:
		// RFC 5321, 3.3: 554 when all recipients were refused.
		return s.fail(refusal(554, 5, 5, 1, "No valid recipients"))
	case verb == "DATA":
		text = "Need RCPT before DATA"
	case s.msg != nil:
		text = verb + " is not allowed within a transaction"
	}
	return s.protocolError(503, smtp.EnhancedCode{5, 5, 1}, text)
}

// fail refuses a command for a reason that is not a protocol error.
func (s *Session) fail(e *smtp.SMTPError) error {
	s.refuse(&verdict{reply: e, by: "server"})
	return nil
}

// bye sends a last reply and ends the session.
func (s *Session) bye(code int, ec smtp.EnhancedCode, text string) error {
	s.reply(code, ec, text)
	return fmt.Errorf("%w: %s", errClosing, text)
}

// reset ends the transaction. It does so even if Reset of an agent panics.
func (s *Session) reset() {
	defer s.dropTransaction()
	if s.msg != nil || s.handled {
		s.callReset()
	}
}

// dropTransaction releases the memory and the file of the transaction.
func (s *Session) dropTransaction() {
	shown := s.msg != nil || s.handled
	if s.intake != nil {
		s.intake.end()
		s.intake = nil
	}
	if s.msg != nil && s.msg.file != nil {
		s.msg.Close()
	}
	s.msg, s.params, s.accepted = nil, nil, 0
	s.handled, s.discarding, s.refusedTo = false, false, false
	if s.state != connected && s.state != refusedAtConnect {
		s.state = ready
	}
	if shown {
		s.show(live.StateIdle, time.Time{})
	}
}

// readLine waits for a line and returns it without its CRLF. The line is valid
// until the session waits for more input. A line may have up to max bytes, or
// authMax bytes if it is an AUTH command.
func (s *Session) readLine(max, authMax int) ([]byte, error) {
	var began time.Time // start of the line
	for from := 0; ; {
		b := s.in.buffered()
		if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
			line := b[:from+i+1]
			s.in.consume(len(line))
			return s.checkLine(line, max, authMax)
		}
		if from = len(b); from > 0 && began.IsZero() {
			began = time.Now()
		}
		if from > authMax {
			return s.skipLine(began)
		}
		if err := s.waitCommand(began); err != nil {
			return nil, err
		}
	}
}

// checkLine removes the CRLF. For a line that is too long it returns
// lineTooLong. For a line that ends in a bare LF it returns notACommand, unless
// the client may end lines so (Server.BareLFFrom, BareNormalize).
func (s *Session) checkLine(line []byte, max, authMax int) ([]byte, error) {
	text, isCRLF := bytes.CutSuffix(line, crlf)
	if isCRLF {
		s.lfOnly = false
	}
	switch {
	case len(line) > max && (len(line) > authMax || !isAuth(line)):
		return lineTooLong, nil
	case isCRLF:
		return text, nil
	case s.lfOnly || s.bare == BareNormalize:
		return line[:len(line)-1], nil
	}
	return notACommand, nil
}

// notACommand replaces a line that cannot be read as a command.
var notACommand = []byte{0}

// lineTooLong replaces a line that is longer than a command may be.
var lineTooLong = []byte{0, 0}

// skipLine reads and drops the rest of a line that is too long, up to 1 MiB.
func (s *Session) skipLine(began time.Time) ([]byte, error) {
	const most = 1 << 20
	var last byte // of the dropped input
	for n := 0; n < most; {
		b := s.in.buffered()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if i > 0 {
				last = b[i-1]
			}
			s.lfOnly = s.lfOnly && last != '\r'
			s.in.consume(i + 1)
			return lineTooLong, nil
		}
		if n += len(b); len(b) > 0 {
			last = b[len(b)-1]
		}
		s.in.consume(len(b))
		if err := s.waitCommand(began); err != nil {
			return nil, err
		}
	}
	return nil, s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Line is too long")
}

// waitCommand sends the pending replies and waits for more input. began is the
// start of an unfinished line, or zero: the whole line must arrive within
// Limits.CommandTimeout. A message in chunks must keep the minimum data rate.
func (s *Session) waitCommand(began time.Time) error {
	if err := s.flush(); err != nil {
		return err
	}
	d := s.waitAtMost(s.lim.CommandTimeout)
	if s.state == refusedAtConnect {
		d = min(d, overloadWait)
	}
	if !began.IsZero() {
		d -= time.Since(began)
	}
	if s.state == chunks {
		d = min(d, s.paceLeft(&s.intake.pace))
	}
	if s.lim.SessionTimeout < forever {
		d = min(d, s.timeLeft())
	}
	return s.await(waitCommand, d)
}

// await waits for input. Shutdown, EndSession, makeRoom and the ContentBudget may
// interrupt it.
//
// They interrupt by setting a deadline in the past. The session first sets its
// own deadline, then marks itself as waiting, then checks whether the server is
// closing. Shutdown first sets closing, and then checks which sessions wait. So
// either the session sees that the server is closing, or Shutdown sees that the
// session waits and sets the later deadline. EndSession does the same. If a command arrives at the same
// moment, the session still runs it.
func (s *Session) await(kind waitKind, d time.Duration) error {
	now := time.Now()
	if err := s.setReadDeadline(now, d); err != nil {
		return err
	}
	s.beginWait(kind, now)
	defer s.endWait()
	if s.srv.closing.Load() || s.ending.Load() || s.givenUp() {
		return os.ErrDeadlineExceeded
	}
	return s.in.fill(commandInput)
}

// setReadDeadline sets the read deadline to d after now, which is the current
// time. It keeps the current deadline if that is at most 1/64 of d earlier,
// because setting one costs as much as a small system call.
func (s *Session) setReadDeadline(now time.Time, d time.Duration) error {
	if late := s.readDeadline.Sub(now); late <= d && late >= d-d/64 {
		return nil
	}
	s.readDeadline = now.Add(d)
	return s.conn.SetReadDeadline(s.readDeadline)
}

func (s *Session) setWriteDeadline(now time.Time, d time.Duration) error {
	if late := s.writeDeadline.Sub(now); late <= d && late >= d-d/64 {
		return nil
	}
	s.writeDeadline = now.Add(d)
	return s.conn.SetWriteDeadline(s.writeDeadline)
}
