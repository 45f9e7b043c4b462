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
)

// The state machine of a session. The protocol has five states between
// commands (RFC 5321, 4.1.4); what a command may do, and where it leads, is in
// the table below.
//
//	            EHLO            MAIL           RCPT (accepted)
//	connected ───────▶ ready ─────────▶ mail ─────────▶ rcpt ◀─╮ RCPT
//	                     ▲                               │  ╰──╯
//	                     ├──────── DATA, BDAT LAST ──────┤
//	                     │                               │ BDAT
//	                     ╰──── BDAT LAST ──── chunks ◀───╯ ◀─╮ BDAT
//	                                             ╰───────────╯
//
// RSET, EHLO, HELO and a refused chunk lead from everywhere back to ready.
type state uint8

const (
	connected state = 1 << iota // the banner is sent
	ready                       // greeted; no transaction
	mail                        // a reverse-path is known
	rcpt                        // and one forward-path at least
	chunks                      // and the first chunk of BDAT

	anyState = connected | ready | mail | rcpt | chunks

	// turnedAway: 554 stood for the banner. Only QUIT has a meaning now
	// (RFC 5321, 3.1).
	turnedAway state = 1 << 7
)

// A command is one verb that the server knows.
type command struct {
	states state // in which it may be given
	// open: may be given before STARTTLS with TLSRequired (RFC 3207, 4).
	open bool
	// follows: a pipelining client sends it before it knows the reply to MAIL.
	follows bool
	run     func(s *Session, arg string) error
}

// commands is the table of verbs. What is not in it goes to the agents.
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
	"QUIT":     {anyState | turnedAway, true, false, (*Session).cmdQUIT},
	"VRFY":     {anyState, false, false, (*Session).cmdVRFY},
	"EXPN":     {anyState, false, false, (*Session).cmdEXPN},
	"HELP":     {anyState, true, false, (*Session).cmdHELP},
	"XCLIENT":  {connected | ready, false, false, (*Session).cmdXCLIENT},
}

// What ends a session.
var (
	errQuit    = errors.New("QUIT")
	errClosing = errors.New("closed by the server")
	errTaken   = errors.New("connection handed over")
)

// loop reads and runs commands until the session ends.
func (s *Session) loop() error {
	for {
		line, err := s.readCommand()
		if err == nil {
			err = s.run(line)
		}
		if err == nil && len(s.out) > maxOutput {
			err = s.flush()
		}
		if err != nil {
			return err
		}
	}
}

// readCommand waits for the next line of the client's.
func (s *Session) readCommand() ([]byte, error) {
	if s.srv.closing.Load() {
		return nil, s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	}
	if s.timeLeft() <= 0 {
		return nil, s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Session took too long")
	}
	line, err := s.readLine(s.lim.CommandLine, s.lim.AuthLine)
	return line, s.waitEnded(err)
}

// waitEnded replies to the client when the wait for it ended by a deadline.
func (s *Session) waitEnded(err error) error {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case s.srv.closing.Load():
		return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	case s.timeLeft() <= 0:
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Session took too long")
	}
	return s.bye(421, smtp.EnhancedCode{4, 4, 2}, "Timeout: nothing came")
}

// timeLeft is what remains of the time for the session.
func (s *Session) timeLeft() time.Duration { return s.lim.Session - time.Since(s.started) }

// run gives one command line to the function that serves it. An agent or
// Handler that panics costs the session its connection, not the process.
func (s *Session) run(line []byte) (err error) {
	defer s.recovered(&err)
	verb, arg, ok := splitCommand(line)
	s.traceCommand(verb, line, arg)
	if !ok && len(line) == len(lineTooLong) && &line[0] == &lineTooLong[0] {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Line is too long") // RFC 5321, 4.5.3.1.10
	}
	if !ok {
		return s.protocolError(500, smtp.EnhancedCode{5, 5, 2}, "Command line has a character that must not be there")
	}
	cmd, known := commands[string(verb)]
	s.mailRefused = s.mailRefused && cmd.follows
	switch {
	case s.state == turnedAway && string(verb) != "QUIT":
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

// guard calls f with the same protection.
func (s *Session) guard(f func() error) (err error) {
	defer s.recovered(&err)
	return f()
}

func (s *Session) recovered(err *error) {
	if p := recover(); p != nil {
		s.srv.counters.panics.Add(1)
		s.log(slog.LevelError, "panic", slog.String("agent", s.asking), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		if s.asking == "handler" && s.msg != nil {
			s.msg, s.handled = nil, true // the Handler may have kept it
		}
		*err = s.bye(421, smtp.EnhancedCode{4, 3, 0}, "Internal error")
	}
}

// badSequence is the answer to a known command in the wrong state.
func (s *Session) badSequence(verb string) error {
	text := "Bad sequence of commands"
	switch {
	case s.state == turnedAway:
		text = "Not welcome: say QUIT"
	case s.mailRefused && verb != "MAIL":
		return s.followError(503, smtp.EnhancedCode{5, 5, 1}, "MAIL was refused")
	case s.state == connected:
		text = "Say EHLO or HELO first"
		if verb == "MAIL" {
			s.noteRefusedMail(s.errors)
		}
	case s.state == chunks:
		text = "Only BDAT or RSET may follow a BDAT that was not the last"
	case verb == "MAIL":
		text = "A transaction is open already"
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

// fail refuses a command for a reason that is no protocol error.
func (s *Session) fail(e *smtp.SMTPError) error {
	s.refuse(&verdict{reply: e, by: "server"})
	return nil
}

// bye says why the session ends, and ends it.
func (s *Session) bye(code int, ec smtp.EnhancedCode, text string) error {
	s.reply(code, ec, text)
	return fmt.Errorf("%w: %s", errClosing, text)
}

// reset ends the transaction, whatever became of it, and also when an agent
// panics on hearing of it.
func (s *Session) reset() {
	defer s.dropTransaction()
	if s.msg != nil || s.handled {
		s.tellReset()
	}
}

// dropTransaction forgets the transaction, and gives back what it held.
func (s *Session) dropTransaction() {
	if s.intake != nil {
		s.intake.end()
		s.intake = nil
	}
	if s.msg != nil && s.msg.file != nil {
		s.msg.Close()
	}
	s.msg, s.params, s.accepted = nil, nil, 0
	s.handled, s.discarding, s.refusedTo = false, false, false
	if s.state != connected && s.state != turnedAway {
		s.state = ready
	}
}

// readLine waits for a line and returns it without its CRLF, in memory that is
// good until more input is waited for. Lines of up to max bytes are taken,
// AUTH commands of up to authMax.
func (s *Session) readLine(max, authMax int) ([]byte, error) {
	var began time.Time // the line
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

// checkLine takes off the CRLF. A line that ends otherwise or is too long
// comes back as one that is no command, so that it is answered as an error:
// a bare LF is the end of a line only for clients of Server.BareLFFrom.
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

// notACommand stands for a line that cannot be read as a command.
var notACommand = []byte{0}

// lineTooLong stands for a line of more bytes than a command may have.
var lineTooLong = []byte{0, 0}

// skipLine passes over a line that is too long to be one, within reason.
func (s *Session) skipLine(began time.Time) ([]byte, error) {
	const most = 1 << 20
	var last byte // of what was passed over
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

// waitCommand waits for more input, after what was replied has been sent. A
// line that has begun, and a message in chunks, must come within one wait.
func (s *Session) waitCommand(began time.Time) error {
	if err := s.flush(); err != nil {
		return err
	}
	d := s.lim.Command
	if s.state == turnedAway || s.srv.overloaded() {
		d = min(d, overloadWait)
	}
	if !began.IsZero() {
		d -= time.Since(began)
	}
	if s.state == chunks {
		d = min(d, s.paceLeft(&s.intake.pace))
	}
	if s.lim.Session < forever {
		d = min(d, s.timeLeft())
	}
	return s.await(d)
}

// await waits for input at a time when Shutdown may interrupt.
//
// That it does by a deadline in the past. The session sets its own deadline
// first, then says that it waits, then looks whether the server is closing;
// Shutdown sets closing first and then looks who waits. So either the session
// sees that the server closes, or Shutdown sees the session wait, and its
// deadline is the later one. A command that came at the same moment is served
// all the same, with deadlines of its own.
func (s *Session) await(d time.Duration) error {
	if err := s.setReadDeadline(d); err != nil {
		return err
	}
	s.mu.Lock()
	s.waiting = true
	s.mu.Unlock()
	err := os.ErrDeadlineExceeded
	if !s.srv.closing.Load() {
		err = s.in.fill(commandInput)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted {
		s.readDeadline = time.Time{} // it is not what the connection has
	}
	s.waiting, s.interrupted = false, false
	return err
}

// interrupt wakes the session if it awaits something.
func (s *Session) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting {
		s.interrupted = true
		s.netConn.SetReadDeadline(time.Unix(1, 0))
	}
}

// setReadDeadline sets a deadline d from now on. One that is set already and
// ends at most 1/64 of d earlier stands: setting one costs as much as a small
// system call.
func (s *Session) setReadDeadline(d time.Duration) error {
	now := time.Now()
	if late := s.readDeadline.Sub(now); late <= d && late >= d-d/64 {
		return nil
	}
	s.readDeadline = now.Add(d)
	return s.conn.SetReadDeadline(s.readDeadline)
}

func (s *Session) setWriteDeadline(d time.Duration) error {
	now := time.Now()
	if late := s.writeDeadline.Sub(now); late <= d && late >= d-d/64 {
		return nil
	}
	s.writeDeadline = now.Add(d)
	return s.conn.SetWriteDeadline(s.writeDeadline)
}
